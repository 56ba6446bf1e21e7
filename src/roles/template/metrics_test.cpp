#include "roles/template/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "base/eventually_testing.h"
#include "monitor/exposition_testing.h"
#include "roles/template/from_config.h"

namespace adit::provider {
namespace {

using namespace std::chrono_literals;

TEST(TemplateMetrics, ShowWhatAConfiguredProviderDoes) {
  const auto loaded = parse_config(R"t(
listen_address = "127.0.0.1:0"
data_dir = "/none"
authority_secret_key = "mkDLTBBRxdBv998612qipDYoTK3YUrqLe8uWw7gu3iXbSrn2n"
max_constraint_classes = 5
[template_provider_type.Embedded]
)t",
                                   "t.toml", {});
  ASSERT_TRUE(loaded.may_start());
  const auto authority = load_authority(loaded.config);
  ASSERT_TRUE(authority);
  net::Shards shards(1);
  shards.start();
  const auto made = make_source(loaded.config, shards[0], nullptr);
  ASSERT_TRUE(made);
  EXPECT_FALSE(made->further) << "the embedded chain has one kind of templates";
  ServerOptions options = server_options(loaded.config, *authority);
  EXPECT_EQ(options.classes.max_classes, 5u);
  EXPECT_EQ(options.classes.least, templates::kMostConstraints);
  {
    TemplateServer server(shards, *made->source, made->further, std::move(options));
    ASSERT_TRUE(server.start());
    Metrics metrics(server);
    ASSERT_TRUE(eventually([&] { return metrics.health().ready(); })) << metrics.health().message;
    const monitor::test::PrometheusText text = monitor::test::text_of(metrics.snapshot());
    EXPECT_EQ(text.value("adit_template_clients"), 0);
    EXPECT_EQ(text.value("adit_template_classes"), 1);
    EXPECT_EQ(text.value("adit_template_height"), 1);
    EXPECT_EQ(text.value(R"(adit_template_solutions_total{answer="taken"})"), 0);
    EXPECT_EQ(text.value(R"(adit_connections{transport="tcp"})"), 0);
    EXPECT_EQ(text.type("adit_templates_sent_total"), "counter");
  }
  shards.stop(1s);
}

}  // namespace
}  // namespace adit::provider
