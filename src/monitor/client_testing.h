// A client of the monitor's server, for tests.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>

namespace adit::monitor::test {

/// A connection of its own, so that tests can misbehave on it.
class Client {
 public:
  Client() : socket_(context_, boost::asio::ip::tcp::v4()) {}
  explicit Client(std::uint16_t port, const char* from = "127.0.0.1") : Client() {
    // All of 127.0.0.0/8 is this machine: a source of its own for each.
    socket_.bind({boost::asio::ip::make_address(from), 0});
    connect(port);
  }
  void connect(std::uint16_t port) { socket_.connect({boost::asio::ip::make_address("127.0.0.1"), port}); }
  bool send(std::string_view text) {
    boost::system::error_code error;
    boost::asio::write(socket_, boost::asio::buffer(text), error);
    return !error;
  }
  // Until the server closes.
  std::string rest() {
    boost::system::error_code ignored;
    boost::asio::read(socket_, boost::asio::dynamic_buffer(buffer_), ignored);
    return std::exchange(buffer_, {});
  }
  // Up to and including `end`; what there was, if the server closes before.
  std::string until(std::string_view end) {
    boost::system::error_code error;
    const std::size_t size = boost::asio::read_until(socket_, boost::asio::dynamic_buffer(buffer_), end, error);
    if (error) return std::exchange(buffer_, {});
    std::string out = buffer_.substr(0, size);
    buffer_.erase(0, size);
    return out;
  }

 private:
  boost::asio::io_context context_;
  boost::asio::ip::tcp::socket socket_;
  std::string buffer_;
};

/// The whole answer to one request on a connection of its own.
inline std::string ask(std::uint16_t port, std::string_view target, std::string_view method = "GET",
                       std::string_view host = "127.0.0.1:9090") {
  Client client(port);
  client.send(std::string(method) + " " + std::string(target) + " HTTP/1.1\r\nHost: " + std::string(host) +
              "\r\nConnection: close\r\n\r\n");
  return client.rest();
}

/// What stands behind the header of the answer.
inline std::string body_of(std::uint16_t port, std::string_view target) {
  const std::string answer = ask(port, target);
  const auto end = answer.find("\r\n\r\n");
  return end == std::string::npos ? "" : answer.substr(end + 4);
}

}  // namespace adit::monitor::test
