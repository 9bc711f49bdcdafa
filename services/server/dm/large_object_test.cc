// SPDX-License-Identifier: Apache-2.0
// Objects larger than a message, both ways (OMA DM Protocol 1.2 §8.6).
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/server/testing/session_fixture.h"

namespace virmo::server {
namespace {

using syncml::Message;
using ::testing::HasSubstr;
using ::testing::Values;

class LargeObjectTest : public SessionFixture,
                        public ::testing::WithParamInterface<syncml::Encoding> {
 protected:
  LargeObjectTest() {
    device_.encoding = GetParam();
    device_.max_message_size = 3000;
  }

  std::string QueueReplace(const std::string& value) {
    v1::Action action;
    action.mutable_replace()->set_uri("./Ext/Blob");
    action.mutable_replace()->set_value(value);
    return fleet_.Queue("edge-1", action);
  }
  std::string QueueGet() {
    v1::Action action;
    action.mutable_get()->add_uris("./Ext/Blob");
    device_.tree["./Ext/Blob"] = "sent by the test itself";
    return fleet_.Queue("edge-1", action);
  }

  // Runs a session; the device puts chunks together as `answer` says.
  void RunChunked() {
    device_.Begin(absl::StrCat(++session_));
    Message server = *device_.Send(device_.Package1());
    for (int i = 0; i < 100 && server.body.size() > 1; ++i) {
      Message reply = device_.Reply(server);
      for (const auto& command : server.body) {
        if (command.kind == CommandKind::kStatus || command.items.empty()) continue;
        const syncml::Item& item = command.items[0];
        if (item.more_data || !blob_.empty()) Take(item, command.cmd_id, reply);
      }
      server = *device_.Send(reply);
    }
  }

  void Take(const syncml::Item& item, const std::string& cmd_id, Message& reply) {
    if (item.meta.size) told_size_ = *item.meta.size;
    blob_ += *item.data;
    ++chunks_;
    int code = item.more_data ? 213 : told_size_ == static_cast<int64_t>(blob_.size()) ? 200 : 424;
    if (lose_once_ && chunks_ == 3) {
      lose_once_ = false;
      blob_.clear();
      reply.body.push_back(syncml::MakeAlert("77", syncml::AlertCode::kNoEndOfData));
    }
    if (damage_once_ && !item.more_data) {
      damage_once_ = false;
      code = 424;
    }
    for (auto& status : reply.body) {
      if (status.kind == CommandKind::kStatus && status.cmd_ref == cmd_id) {
        status.data = absl::StrCat(code);
      }
    }
    if (item.more_data) return;
    whole_ = blob_;
    blob_.clear();
  }

  // The device's Results, in chunks of `size` characters.
  void SendInChunks(const std::string& value, size_t size, int64_t told) {
    device_.Begin(absl::StrCat(++session_));
    const Message server = *device_.Send(device_.Package1());
    Message reply = device_.Reply(server);
    std::string get;
    for (const auto& command : server.body) {
      if (command.kind == CommandKind::kGet) get = command.cmd_id;
    }
    for (size_t at = 0; at < value.size(); at += size) {
      const bool first = at == 0;
      const bool last = at + size >= value.size();
      Message message = first ? reply : Message();
      std::erase_if(message.body,
                    [](const auto& one) { return one.kind == CommandKind::kResults; });
      syncml::Command results;
      results.kind = CommandKind::kResults;
      results.cmd_id = "90";
      results.cmd_ref = get;
      results.msg_ref = server.header.msg_id;
      results.items = {syncml::MakeSourceItem("./Ext/Blob", value.substr(at, size))};
      results.items[0].more_data = !last;
      if (first) results.items[0].meta.size = told;
      message.body.push_back(results);
      message.final = last;
      answers_.push_back(*device_.Send(message));
    }
  }

  int StatusOfResults(const Message& answer) {
    for (const auto& command : answer.body) {
      if (command.cmd == "Results") return std::stoi(command.data);
    }
    return 0;
  }

  std::string blob_;
  std::string whole_;
  int64_t told_size_ = 0;
  int chunks_ = 0;
  bool lose_once_ = false;
  bool damage_once_ = false;
  std::vector<Message> answers_;
};

INSTANTIATE_TEST_SUITE_P(Encodings, LargeObjectTest,
                         Values(syncml::Encoding::kXml, syncml::Encoding::kWbxml));

TEST_P(LargeObjectTest, SendsAnObjectInChunksThatFit) {
  std::string value;
  for (int i = 0; i < 2000; ++i) absl::StrAppend(&value, "<&ä", i, ">");
  const std::string id = QueueReplace(value);
  device_.tree["./Ext/Blob"] = "old";
  RunChunked();

  EXPECT_EQ(whole_, value);
  EXPECT_GT(chunks_, 5);
  for (const Message& message : device_.received) {
    EXPECT_LE(syncml::Encode(message, GetParam()).size(), 3000u);
    const bool chunk = !message.body.back().items.empty() && message.body.back().items[0].more_data;
    EXPECT_EQ(message.final, !chunk);  // No Final in the middle of an object.
  }
  EXPECT_EQ(Get(id).attempts(), 1);
  EXPECT_GE(Get(id).state(), Command::STATE_APPLIED);
}

TEST_P(LargeObjectTest, SendsTheWholeAgainWhenTheDeviceLostTheThread) {
  const std::string value(9000, 'v');
  QueueReplace(value);
  device_.tree["./Ext/Blob"] = "old";
  lose_once_ = true;
  RunChunked();

  EXPECT_EQ(whole_, value);
}

TEST_P(LargeObjectTest, SendsADamagedObjectAgainInTheNextSession) {
  const std::string id = QueueReplace(std::string(9000, 'v'));
  device_.tree["./Ext/Blob"] = "old";
  damage_once_ = true;
  RunChunked();
  ASSERT_EQ(Get(id).state(), Command::STATE_FETCHED);
  RunChunked();

  EXPECT_GE(Get(id).state(), Command::STATE_APPLIED);
  EXPECT_EQ(Get(id).attempts(), 2);
}

TEST_P(LargeObjectTest, GoesOnWithAnObjectAfterARestart) {
  const std::string value(9000, 'v');
  QueueReplace(value);
  device_.tree["./Ext/Blob"] = "old";
  bool restarted = false;
  fleet_.change_request = [&](DmRequest&) {
    if (chunks_ != 2 || restarted) return;
    restarted = true;
    fleet_.Restart();
  };
  RunChunked();

  EXPECT_TRUE(restarted);
  EXPECT_EQ(whole_, value);
}

TEST_P(LargeObjectTest, KeepsToTheDevicesMaxObjSize) {
  const std::string id = QueueReplace(std::string(9000, 'v'));
  device_.max_object_size = 5000;
  Session();

  EXPECT_EQ(Get(id).state(), Command::STATE_FAILED);
  EXPECT_THAT(Get(id).detail(), HasSubstr("5000"));
}

TEST_P(LargeObjectTest, PutsTogetherWhatTheDeviceSends) {
  const std::string id = QueueGet();
  std::string value;
  for (int i = 0; i < 3000; ++i) absl::StrAppend(&value, i, ";");
  SendInChunks(value, 1000, static_cast<int64_t>(value.size()));

  EXPECT_EQ(StatusOfResults(answers_[0]), 213);
  EXPECT_FALSE(answers_[0].final);
  EXPECT_EQ(answers_[0].body.back().data, "1222");
  ASSERT_EQ(Get(id).state(), Command::STATE_CONFIRMED);
  EXPECT_EQ(Get(id).node_results(0).value(), value);
  EXPECT_EQ(fleet_.database().Query("SELECT COUNT(*) FROM object_chunk")->at(0).Int(0), 0);
}

TEST_P(LargeObjectTest, AnswersAnotherSizeThanToldBy424) {
  QueueGet();
  SendInChunks(std::string(2500, 'x'), 1000, 2499);

  EXPECT_EQ(StatusOfResults(answers_.back()), 424);
}

TEST_P(LargeObjectTest, AnswersAnObjectThatIsTooLargeBy413) {
  fleet_.options.max_object_bytes = 2000;
  fleet_.Restart();
  QueueGet();
  SendInChunks(std::string(2500, 'x'), 900, 2500);

  EXPECT_EQ(StatusOfResults(answers_[0]), 413);
}

TEST_P(LargeObjectTest, TellsBy1225WhenAnObjectBreaksOff) {
  QueueGet();
  device_.Begin("b");
  const Message server = *device_.Send(device_.Package1());
  Message reply = device_.Reply(server);
  syncml::Command results;
  results.kind = CommandKind::kResults;
  results.cmd_id = "90";
  results.cmd_ref = server.body.back().cmd_id;
  results.items = {syncml::MakeSourceItem("./Ext/Blob", "beginning")};
  results.items[0].more_data = true;
  reply.body = {results};
  reply.final = false;
  ASSERT_TRUE(device_.Send(reply).ok());
  device_.QueueAlert("StateChange", "", kVm, 1200, kAlertId);
  Message other;
  other.body = {syncml::MakeGenericAlert("5", device_.alerts[0])};
  other.final = true;
  const Message answer = *device_.Send(other);

  int found = 0;
  for (const auto& command : answer.body) found += command.data == "1225" ? 1 : 0;
  EXPECT_EQ(found, 1);
  EXPECT_EQ(fleet_.Alerts("edge-1").size(), 1u);
}

TEST_P(LargeObjectTest, SpreadsStatusesOverMessagesThatFit) {
  device_.max_message_size = 1500;
  for (int i = 0; i < 40; ++i) device_.QueueAlert("StateChange", "", kVm, 1200, NewUuid());
  device_.AddVirtualMachine(kOtherVm, "db", 30);
  device_.Begin("many");
  Message server = *device_.Send(device_.Package1());
  int statuses = 0;
  for (int i = 0; i < 50; ++i) {
    EXPECT_LE(syncml::Encode(server, GetParam()).size(), 1500u);
    for (const auto& command : server.body) statuses += command.cmd == "Alert" ? 1 : 0;
    if (server.final && server.body.size() == 1) break;
    server = *device_.Send(device_.Reply(server));
  }

  EXPECT_GE(statuses, 41);
}

}  // namespace
}  // namespace virmo::server
