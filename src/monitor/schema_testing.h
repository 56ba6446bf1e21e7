// Holds JSON against the schemas of openapi.json: the part of JSON Schema that they use.
#pragma once

#include <regex>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include "monitor/assets.h"

namespace adit::monitor::test {

class OpenApi {
 public:
  OpenApi() : document_(boost::json::parse(find_asset("/openapi.json")->content)) {}

  /// What is wrong with `body` as the answer of that path and status; empty: nothing.
  [[nodiscard]] std::vector<std::string> defects(std::string_view path, unsigned status, std::string_view body) const {
    std::vector<std::string> out;
    const auto* const schema = schema_of(path, status);
    if (schema == nullptr) return {"openapi.json has no answer " + std::to_string(status) + " of " + std::string(path)};
    boost::system::error_code error;
    const auto value = boost::json::parse(body, error);
    if (error) return {"this is no JSON: " + std::string(body)};
    check(*schema, value, std::string(path), out);
    return out;
  }

  [[nodiscard]] const boost::json::object& paths() const { return document_.at("paths").as_object(); }

 private:
  using Value = boost::json::value;
  using Object = boost::json::object;

  [[nodiscard]] const Object* schema_of(std::string_view path, unsigned status) const {
    const auto* const route = paths().if_contains(path);
    if (route == nullptr) return nullptr;
    const auto* const response = route->at("get").at("responses").as_object().if_contains(std::to_string(status));
    return response == nullptr ? nullptr : &response->at("content").at("application/json").at("schema").as_object();
  }

  static bool has_type(const Value& value, std::string_view type) {
    if (type == "null") return value.is_null();
    if (type == "boolean") return value.is_bool();
    if (type == "integer") return value.is_int64() || value.is_uint64();
    if (type == "number") return value.is_number();
    if (type == "string") return value.is_string();
    return type == "array" ? value.is_array() : value.is_object();
  }
  static bool has_type(const Value& value, const Value& types) {
    if (types.is_string()) return has_type(value, std::string_view(types.as_string()));
    for (const Value& type : types.as_array()) {
      if (has_type(value, std::string_view(type.as_string()))) return true;
    }
    return false;
  }

  void check(const Object& schema, const Value& value, const std::string& at, std::vector<std::string>& out) const {
    const auto complain = [&](const std::string& what) {
      out.push_back(at + ": " + what + ", it is " + boost::json::serialize(value).substr(0, 80));
    };
    if (const auto* const name = schema.if_contains("$ref")) {
      const std::string_view text(name->as_string());
      return check(document_.at("components").at("schemas").at(text.substr(text.rfind('/') + 1)).as_object(), value, at, out);
    }
    if (const auto* const one_of = schema.if_contains("oneOf")) {
      int fitting = 0;
      std::vector<std::string> tried;
      for (const Value& choice : one_of->as_array()) {
        const std::size_t before = tried.size();
        check(choice.as_object(), value, at, tried);
        if (tried.size() == before) ++fitting;
      }
      if (fitting != 1) out.insert(out.end(), tried.begin(), tried.end());
      return;
    }
    if (const auto* const constant = schema.if_contains("const"); constant != nullptr && *constant != value)
      complain("must be " + boost::json::serialize(*constant));
    if (const auto* const types = schema.if_contains("type"); types != nullptr && !has_type(value, *types))
      return complain("must be of type " + boost::json::serialize(*types));
    if (const auto* const choices = schema.if_contains("enum")) {
      bool found = false;
      for (const Value& choice : choices->as_array()) found = found || choice == value;
      if (!found) complain("must be one of " + boost::json::serialize(*choices));
    }
    if (value.is_number()) {
      if (const auto* const least = schema.if_contains("minimum");
          least != nullptr && value.to_number<double>() < least->to_number<double>())
        complain("is too small");
      if (const auto* const most = schema.if_contains("maximum");
          most != nullptr && value.to_number<double>() > most->to_number<double>())
        complain("is too large");
    }
    if (value.is_string()) {
      const std::string text(value.as_string());
      if (const auto* const least = schema.if_contains("minLength");
          least != nullptr && text.size() < least->to_number<std::size_t>())
        complain("is too short");
      if (const auto* const pattern = schema.if_contains("pattern");
          pattern != nullptr && !std::regex_search(text, std::regex(std::string(pattern->as_string()))))
        complain("must match " + std::string(pattern->as_string()));
    }
    if (value.is_array() && schema.contains("items")) {
      std::size_t i = 0;
      for (const Value& item : value.as_array())
        check(schema.at("items").as_object(), item, at + "[" + std::to_string(i++) + "]", out);
    }
    if (value.is_object()) check_object(schema, value.as_object(), at, out);
  }

  void check_object(const Object& schema, const Object& value, const std::string& at, std::vector<std::string>& out) const {
    static const Object kNone;
    const auto* const named = schema.if_contains("properties");
    const Object& properties = named == nullptr ? kNone : named->as_object();
    const auto* const others = schema.if_contains("additionalProperties");
    if (const auto* const required = schema.if_contains("required")) {
      for (const Value& name : required->as_array()) {
        if (!value.contains(std::string_view(name.as_string())))
          out.push_back(at + ": has no " + std::string(name.as_string()));
      }
    }
    for (const auto& [name, member] : value) {
      const std::string where = at + "." + std::string(name);
      if (const auto* const property = properties.if_contains(name)) {
        check(property->as_object(), member, where, out);
      } else if (others != nullptr) {
        check(others->as_object(), member, where, out);
      } else {
        // Readers let it pass; here it shows that the description lacks a field.
        out.push_back(where + ": openapi.json does not have it");
      }
    }
  }

  Value document_;
};

}  // namespace adit::monitor::test
