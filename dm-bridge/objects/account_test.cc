// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/objects/account_object.h"

#include <fstream>

#include "dm-bridge/objects/account_rights.h"
#include "dm-bridge/objects/bootstrap.h"
#include "dm-bridge/objects/standard_objects.h"
#include "dm-bridge/testing/test_tree.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/runtime/error.h"
#include "services/syncml/auth.h"
#include "services/syncml/codec.h"
#include "services/syncml/tnds.h"

namespace virmo::dm_bridge {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr char kAccountFile[] =
    "server_id: 'srv' address: 'https://a.example/dm' device_uri: 'urn:x' client_name: 'me' "
    "client_secret: 'hush' server_name: 'srv' server_secret: 'hush2' client_nonce: 'AQID'";

std::string Leaf(const std::string& name, const std::string& value,
                 const std::string& format = "chr") {
  return absl::StrCat("<Node><NodeName>", name, "</NodeName><RTProperties><Format><", format,
                      "/></Format></RTProperties><Value>", value, "</Value></Node>");
}
std::string Interior(const std::string& name, const std::string& below) {
  return absl::StrCat("<Node><NodeName>", name,
                      "</NodeName><RTProperties><Format><node/></Format></RTProperties>", below,
                      "</Node>");
}
std::string Credentials(const std::string& name, const std::string& level,
                        const std::string& secret) {
  return Interior(name, Leaf("AAuthLevel", level) + Leaf("AAuthType", "DIGEST") +
                            Leaf("AAuthName", "user-" + name) + Leaf("AAuthSecret", secret) +
                            Leaf("AAuthData", "AQID", "b64"));
}

// As appendix A.6 of the reference has it.
std::string BootstrapTnds(const std::string& server, const std::string& address) {
  return absl::StrCat(
      "<MgmtTree xmlns='syncml:dmddf1.2'><VerDTD>1.2</VerDTD><Node><NodeName>acc</NodeName>"
      "<RTProperties><Format><node/></Format><Type><DDFName>urn:oma:mo:oma-dm-dmacc:1.0</DDFName>"
      "</Type></RTProperties>",
      Leaf("AppID", "w7"), Leaf("ServerID", server),
      Interior("AppAddr", Interior("1", Leaf("Addr", address) + Leaf("AddrType", "URI"))),
      Leaf("AAuthPref", "DIGEST"),
      Interior("AppAuth", Credentials("cl", "CLCRED", "devsecret") +
                              Credentials("sv", "SRVCRED", "srvsecret")),
      "</Node></MgmtTree>");
}

class AccountTest : public ::testing::Test {
 protected:
  AccountTest()
      : database_(*Database::Open(folder_ / "test.db",
                                  {AclStore::GetSchema(), AccountStore::GetSchema(),
                                   SettingsStore::GetSchema(), AccountObject::GetSchema()})),
        acls_(*AclStore::Open(*database_)),
        accounts_(*database_),
        settings_(*database_),
        object_(*database_, accounts_, *acls_, "urn:own"),
        tree_(*acls_) {
    tree_.Mount(object_.MakeObject());
    tree_.Mount(MakeInboxObject());
    object_.SetListener([this](const std::string& server, const auto& account) {
      told_.push_back(absl::StrCat(server, account ? " " + account->address() : " gone"));
    });
  }
  void GivenAFile() {
    std::ofstream(folder_ / "account.textproto") << kAccountFile;
    ASSERT_TRUE(accounts_.Import(folder_ / "account.textproto").ok());
    ASSERT_TRUE(object_.Load().ok());
  }
  static int Code(const absl::Status& status) { return Number(DmStatusOf(status)); }
  std::string Get(const std::string& uri) {
    const auto values = tree_.Get(TestTree::Request(uri));
    if (!values.ok()) return absl::StrCat("!", Code(values.status()));
    return *values->front().value;
  }
  int Replace(const std::string& uri, const std::string& data) {
    return Code(tree_.Replace(TestTree::Request(uri, data)));
  }
  int Add(const std::string& uri, const std::string& data) {
    return Code(tree_.Add(TestTree::Request(uri, data)));
  }
  config::v1::DmAccount Account(const std::string& server) {
    const auto all = accounts_.List();
    for (const auto& account : *all) {
      if (account.server_id() == server) return account;
    }
    return {};
  }
  absl::StatusOr<std::vector<std::string>> Bootstrap(const std::string& document,
                                                     const std::string& security = "",
                                                     const std::string& mac = "",
                                                     const std::string& key = "") {
    v1::BootstrapRequest request;
    request.set_document(document);
    request.set_security(security);
    request.set_mac(mac);
    request.set_key(key);
    return TakeBootstrap(request, tree_, object_);
  }

  TempFolder folder_;
  std::unique_ptr<Database> database_;
  std::unique_ptr<AclStore> acls_;
  AccountStore accounts_;
  SettingsStore settings_;
  AccountObject object_;
  Tree tree_;
  std::vector<std::string> told_;
};

TEST_F(AccountTest, AnAccountFromAFileIsAWholeObjectWithoutItsSecrets) {
  GivenAFile();
  EXPECT_EQ(Get("./DMAcc"), "srv");
  EXPECT_EQ(Get("./DMAcc/srv?prop=Type"), "urn:oma:mo:oma-dm-dmacc:1.0");
  EXPECT_EQ(Get("./DMAcc/srv/AppID"), "w7");
  EXPECT_EQ(Get("./DMAcc/srv/ServerID"), "srv");
  EXPECT_EQ(Get("./DMAcc/srv/AppAddr/1/Addr"), "https://a.example/dm");
  EXPECT_EQ(Get("./DMAcc/srv/AppAddr/1/AddrType"), "URI");
  EXPECT_EQ(Get("./DMAcc/srv/AAuthPref"), "DIGEST");
  EXPECT_EQ(Get("./DMAcc/srv/AppAuth"), "cl/sv");
  EXPECT_EQ(Get("./DMAcc/srv/AppAuth/cl/AAuthName"), "me");
  EXPECT_EQ(Get("./DMAcc/srv/AppAuth/cl/AAuthSecret"), "!405");
  EXPECT_EQ(Get("./DMAcc/srv/AppAuth/cl/AAuthData"), "!405");
  EXPECT_THAT(Get("./DMAcc?list=TNDS"), Not(HasSubstr("hush")));
  EXPECT_EQ(Get("./Inbox"), "!405");
}

TEST_F(AccountTest, WhatAServerWritesIsUsedAndNoncesAreKept) {
  GivenAFile();
  ASSERT_TRUE(accounts_.SaveNonces("srv", {"newer", {"n"}}).ok());
  EXPECT_EQ(Replace("./DMAcc/srv/AppAuth/cl/AAuthSecret", "new secret"), 200);
  EXPECT_EQ(Replace("./DMAcc/srv/AppAddr/1/Addr", "https://b.example/dm"), 200);
  EXPECT_EQ(Account("srv").client_secret(), "new secret");
  EXPECT_EQ(Account("srv").address(), "https://b.example/dm");
  EXPECT_EQ(Account("srv").device_uri(), "urn:x");
  EXPECT_EQ(accounts_.GetNonces("srv")->client, "newer");
  EXPECT_EQ(told_.back(), "srv https://b.example/dm");
  EXPECT_EQ(Add("./DMAcc/srv/AppAddr/1/Port/1/PortNbr", "8443"), 200);
  EXPECT_EQ(Account("srv").address(), "https://b.example:8443/dm");
  EXPECT_EQ(Replace("./DMAcc/srv/AppAddr/1/Addr", "http://b.example/dm"), 403);
  EXPECT_EQ(Replace("./DMAcc/srv/AppAddr/1/AddrType", "IPv4"), 406);
  EXPECT_EQ(Replace("./DMAcc/srv/AAuthPref", "X509"), 406);
  EXPECT_EQ(Account("srv").address(), "https://b.example:8443/dm");
}

TEST_F(AccountTest, AnAccountIsInUseAsSoonAsItIsWhole) {
  GivenAFile();
  told_.clear();
  EXPECT_EQ(Add("./DMAcc/two/ServerID", "srv2"), 200);
  EXPECT_EQ(Add("./DMAcc/two/AppAddr/a/Addr", "https://two.example/dm"), 200);
  EXPECT_EQ(Add("./DMAcc/two/AppAuth/c/AAuthLevel", "CLCRED"), 200);
  EXPECT_EQ(Add("./DMAcc/two/AppAuth/c/AAuthName", "dev"), 200);
  EXPECT_THAT(told_, IsEmpty());
  EXPECT_EQ(Add("./DMAcc/two/AppAuth/c/AAuthSecret", "s"), 200);
  EXPECT_THAT(told_, ElementsAre("srv2 https://two.example/dm"));
  EXPECT_EQ(Account("srv2").device_uri(), "urn:x");
  EXPECT_EQ(Replace("./DMAcc/two/ServerID", "srv"), 418);
  EXPECT_EQ(Replace("./DMAcc/two?prop=Name", "second"), 200);
  EXPECT_EQ(Get("./DMAcc"), "second/srv");
  EXPECT_EQ(*object_.NodeOfServer("srv2"), "./DMAcc/second");
}

TEST_F(AccountTest, ADeletedAccountIsGoneAndItsServerOutOfEveryAcl) {
  GivenAFile();
  ASSERT_TRUE(acls_->Set("./DMAcc", "Get=*&Delete=*&Replace=srv+b").ok());
  EXPECT_TRUE(tree_.Delete(TestTree::Request("./DMAcc/srv")).ok());
  EXPECT_THAT(*accounts_.List(), IsEmpty());
  EXPECT_EQ(told_.back(), "srv gone");
  EXPECT_EQ(acls_->Get("./DMAcc"), "Delete=*&Get=*&Replace=b");
  ASSERT_TRUE(accounts_.Import(folder_ / "account.textproto").ok());  // The same file again.
  EXPECT_THAT(*accounts_.List(), IsEmpty());
}

TEST_F(AccountTest, BootstrapByTndsMakesAnAccountAndASecondOneChangesIt) {
  const auto servers = Bootstrap(BootstrapTnds("new", "https://n.example/dm"));
  ASSERT_TRUE(servers.ok()) << servers.status();
  EXPECT_THAT(*servers, ElementsAre("new"));
  EXPECT_EQ(Get("./DMAcc"), "acc");
  EXPECT_EQ(Account("new").client_secret(), "devsecret");
  EXPECT_EQ(Account("new").server_secret(), "srvsecret");
  EXPECT_EQ(Account("new").client_nonce(), "AQID");
  EXPECT_EQ(Account("new").device_uri(), "urn:own");
  EXPECT_EQ(Get("./DMAcc/acc/AppAuth/cl/AAuthSecret"), "!405");
  const auto again = Bootstrap(BootstrapTnds("new", "https://moved.example/dm"));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(Account("new").address(), "https://moved.example/dm");
  EXPECT_EQ(told_.front(), "new https://n.example/dm");
  EXPECT_EQ(told_.back(), "new https://moved.example/dm");
}

TEST_F(AccountTest, BootstrapInWbxmlIsTakenWithItsMacOnly) {
  const auto document = syncml::ReadTnds(BootstrapTnds("new", "https://n.example/dm"));
  const std::string octets = syncml::WriteTnds(*document, syncml::Encoding::kWbxml);
  const std::string mac = syncml::BootstrapMac("1234", octets);
  EXPECT_TRUE(absl::IsUnauthenticated(Bootstrap(octets, "USERPIN", mac, "4321").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Bootstrap(octets, "USERPIN", "no mac", "1234").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Bootstrap(octets, "PIN", mac, "1234").status()));
  EXPECT_THAT(*accounts_.List(), IsEmpty());
  EXPECT_TRUE(Bootstrap(octets, "USERPIN", mac, "1234").ok());
  EXPECT_EQ(Account("new").address(), "https://n.example/dm");
}

TEST_F(AccountTest, BootstrapMayBeADmMessageThatAddsToTheInbox) {
  syncml::Message message;
  message.header.session_id = "1";
  message.header.msg_id = "1";
  message.header.target.uri = "urn:own";
  message.header.source.uri = "https://n.example/dm";
  syncml::Command& add = message.body.emplace_back();
  add.kind = syncml::CommandKind::kAdd;
  add.cmd_id = "1";
  add.items = {syncml::MakeTargetItem("./Inbox", BootstrapTnds("new", "https://n.example/dm"))};
  add.items[0].meta.format = "xml";
  add.items[0].meta.type = std::string(syncml::kTndsXmlType);
  for (const auto encoding : {syncml::Encoding::kXml, syncml::Encoding::kWbxml}) {
    const auto servers = Bootstrap(syncml::Encode(message, encoding));
    ASSERT_TRUE(servers.ok()) << servers.status();
    EXPECT_EQ(Account("new").client_secret(), "devsecret");
  }
  add.items[0].target->uri = "./VirMO";
  const absl::Status elsewhere =
      Bootstrap(syncml::Encode(message, syncml::Encoding::kXml)).status();
  EXPECT_TRUE(absl::IsInvalidArgument(elsewhere));
}

TEST_F(AccountTest, ABadBootstrapLeavesNothingBehindAndSaysWhatIsWrong) {
  const std::string good = BootstrapTnds("new", "https://n.example/dm");
  const auto broken = [&](const std::string& from, const std::string& to) {
    std::string document = good;
    document.replace(document.find(from), from.size(), to);
    const absl::Status status = Bootstrap(document).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_EQ(Get("./DMAcc"), "");
    return std::string(status.message());
  };
  EXPECT_THAT(broken("https://", "http://"), HasSubstr("https"));
  EXPECT_THAT(broken("<Value>new</Value>", "<Value></Value>"), HasSubstr("ServerID"));
  EXPECT_THAT(broken("devsecret", ""), HasSubstr("not complete"));
  EXPECT_THAT(broken("AppID", "AppIdentity"), HasSubstr("AppIdentity"));
  EXPECT_THAT(broken("</MgmtTree>", ""), HasSubstr("line"));
  EXPECT_THAT(broken("oma-dm-dmacc", "oma-scomo"), HasSubstr("no place"));
  EXPECT_TRUE(absl::IsInvalidArgument(Bootstrap("").status()));
  EXPECT_THAT(told_, IsEmpty());
}

TEST_F(AccountTest, AServerAddsAnAccountThroughTheInboxIfItMay) {
  NodeRequest request =
      TestTree::Request("./Inbox", BootstrapTnds("new", "https://n.example/dm"), "xml");
  request.type = std::string(syncml::kTndsXmlType);
  ASSERT_TRUE(acls_->Set("./Inbox", "Add=other").ok());
  EXPECT_EQ(Code(tree_.Add(request)), 425);
  ASSERT_TRUE(acls_->Set("./Inbox", "Add=srv").ok());
  EXPECT_EQ(Code(tree_.Add(request)), 200);
  EXPECT_EQ(Account("new").address(), "https://n.example/dm");
  EXPECT_EQ(Code(tree_.Add(request)), 418);
  request.data = "<MgmtTree><Node><NodeName>x</NodeName></Node></MgmtTree>";
  EXPECT_EQ(Code(tree_.Add(request)), 406);
}

TEST_F(AccountTest, EachServerGetsTheRightsItsAccountCameWithOnce) {
  config::v1::DmAccount reader, owner;
  reader.set_server_id("reader");
  reader.set_acl("Get=reader");
  owner.set_server_id("owner");
  ASSERT_TRUE(ApplyAccountRights({owner}, settings_, *acls_).ok());
  EXPECT_EQ(acls_->Get("./VirMO"), "");
  ASSERT_TRUE(ApplyAccountRights({owner, reader}, settings_, *acls_).ok());
  EXPECT_TRUE(acls_->Allows("./VirMO/VMs", "Get", "reader"));
  EXPECT_FALSE(acls_->Allows("./VirMO/VMs", "Exec", "reader"));
  EXPECT_FALSE(acls_->Allows("./DMAcc/x", "Replace", "reader"));
  EXPECT_FALSE(acls_->Allows(".", "Replace", "reader"));
  EXPECT_FALSE(acls_->Allows("./Inbox", "Add", "reader"));
  EXPECT_TRUE(acls_->Allows("./VirMO/VMs", "Exec", "owner"));
  ASSERT_TRUE(acls_->Set("./VirMO", "Get=*&Replace=owner").ok());
  ASSERT_TRUE(ApplyAccountRights({owner, reader}, settings_, *acls_).ok());
  EXPECT_EQ(acls_->Get("./VirMO"), "Get=*&Replace=owner");
  config::v1::DmAccount wrong;
  wrong.set_server_id("wrong");
  wrong.set_acl("Everything");
  ASSERT_TRUE(ApplyAccountRights({owner, reader, wrong}, settings_, *acls_).ok());
  EXPECT_FALSE(acls_->Allows("./VirMO", "Replace", "wrong"));
}

TEST_F(AccountTest, DevInfoAndDevDetailAreRead) {
  GivenAFile();
  config::v1::DmBridgeConfig config;
  config.set_manufacturer("Example");
  tree_.Mount(MakeDevInfoObject(config, accounts_));
  tree_.Mount(MakeDevDetailObject(config));
  EXPECT_EQ(Get("./DevInfo/DevId"), "urn:x");
  EXPECT_EQ(Get("./DevInfo/Man"), "Example");
  EXPECT_EQ(Get("./DevDetail/URI/MaxDepth"), "16");
  EXPECT_EQ(Get("./DevDetail/URI/MaxTotLen"), "512");
  EXPECT_EQ(Get("./DevDetail/URI/MaxSegLen"), "64");
  EXPECT_EQ(Get("./DevDetail/OEM"), "Example");
  EXPECT_NE(Get("./DevDetail/FwV"), "");
}

}  // namespace
}  // namespace virmo::dm_bridge
