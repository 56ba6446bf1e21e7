// A receiver of webhooks, for tests.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <deque>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/write.hpp>

#include "base/eventually_testing.h"

namespace adit::monitor::test {

/// Takes one request after the other, and answers each with the next status, the last one for ever.
class Receiver {
 public:
  explicit Receiver(std::deque<unsigned> statuses, boost::asio::ssl::context* tls = nullptr)
      : statuses_(std::move(statuses)), tls_(tls) {
    thread_ = std::thread([this] { serve(); });
  }
  ~Receiver() {
    ended_ = true;
    boost::system::error_code ignored;
    boost::asio::ip::tcp::socket knock(context_);
    knock.connect(acceptor_.local_endpoint(), ignored);
    knock.close(ignored);
    thread_.join();
  }
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;

  [[nodiscard]] std::string url(std::string_view scheme = "http", std::string_view host = "127.0.0.1") const {
    return std::string(scheme) + "://" + this->host(host) + "/a/b?c=d";
  }
  /// With its port.
  [[nodiscard]] std::string host(std::string_view name = "127.0.0.1") const {
    return std::string(name) + ":" + std::to_string(acceptor_.local_endpoint().port());
  }
  [[nodiscard]] std::vector<std::string> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }
  bool wait_for(std::size_t count) {
    return eventually([&] { return requests().size() >= count; });
  }

 private:
  void serve() {
    while (!ended_) {
      boost::system::error_code error;
      boost::asio::ip::tcp::socket socket(context_);
      acceptor_.accept(socket, error);
      if (ended_ || error) return;
      if (tls_ == nullptr) {
        answer(socket);
      } else {
        boost::asio::ssl::stream<boost::asio::ip::tcp::socket&> stream(socket, *tls_);
        stream.handshake(boost::asio::ssl::stream_base::server, error);
        if (!error) answer(stream);
      }
    }
  }
  template <class Stream>
  void answer(Stream& stream) {
    boost::system::error_code error;
    std::string request;
    const std::size_t head = boost::asio::read_until(stream, boost::asio::dynamic_buffer(request), "\r\n\r\n", error);
    const auto at = request.find("Content-Length: ");
    if (error || at == std::string::npos) return;
    const std::size_t whole = head + std::stoul(request.substr(at + 16));
    if (request.size() < whole)
      boost::asio::read(stream, boost::asio::dynamic_buffer(request), boost::asio::transfer_exactly(whole - request.size()),
                        error);
    unsigned status = 200;
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(request);
      status = statuses_.front();
      if (statuses_.size() > 1) statuses_.pop_front();
    }
    if (status == 0) {
      while (!ended_) std::this_thread::sleep_for(std::chrono::milliseconds(5));  // Never an answer.
      return;
    }
    boost::asio::write(
        stream, boost::asio::buffer("HTTP/1.1 " + std::to_string(status) + " Said\r\nContent-Length: 2\r\n\r\nok"), error);
  }

  boost::asio::io_context context_;
  boost::asio::ip::tcp::acceptor acceptor_{context_, {boost::asio::ip::make_address("127.0.0.1"), 0}};
  std::deque<unsigned> statuses_;
  boost::asio::ssl::context* tls_;
  mutable std::mutex mutex_;
  std::vector<std::string> requests_;
  std::atomic<bool> ended_{false};
  std::thread thread_;
};

}  // namespace adit::monitor::test
