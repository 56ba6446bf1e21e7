# What Bitcoin Core 31 and later offer on their IPC socket, as far as this program uses it. Written from the interface's ids,
# ordinals and types, which are what goes over the wire; names do not.
#
# Methods that this program never calls are declared without parameters: ordinals may have no gaps. A method whose layout
# changed between releases without a change of its ordinal cannot be declared twice, so Bitcoin Core 30, whose layouts differ,
# is not spoken to: it lacks Init.makeMining @3 and is told apart by that.

@0xd3b7a0c6f15e4c29;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("adit::ipc::schema");

interface Init @0x8838c700ba5cba65 {
  construct @0 (threadMap :ThreadMap) -> (threadMap :ThreadMap);
  makeEcho @1 () -> ();
  makeMiningOf30 @2 () -> ();
  makeMining @3 (context :Context) -> (result :Mining);
  makeRpc @4 (context :Context) -> (result :Rpc);                          # 31.99 and later.
}

# One server thread of the node's that runs one call at a time, in the order in which they come.
interface ThreadMap @0xee5e37179ad9dc9d {
  makeThread @0 (name :Text) -> (result :Thread);
}
interface Thread @0x81c1e2600d0b56c5 {
  getName @0 () -> (result :Text);
}

struct Context {
  thread @0 :Thread;
  callbackThread @1 :Thread;
}

struct BlockRef {
  hash @0 :Data;
  height @1 :Int32;
}

interface Mining @0xf9c68436df3af39e {
  isTestChain @0 (context :Context) -> (result :Bool);
  isInitialBlockDownload @1 (context :Context) -> (result :Bool);
  getTip @2 (context :Context) -> (result :BlockRef, hasResult :Bool);
  waitTipChanged @3 () -> ();
  createNewBlock @4 (context :Context, options :BlockCreateOptions, cooldown :Bool = true) -> (result :BlockTemplate);
  checkBlock @5 (context :Context, block :Data, options :BlockCheckOptions) -> (reason :Text, debug :Text, result :Bool);
  interrupt @6 () -> ();
  submitBlock @7 (context :Context, block :Data) -> (reason :Text, debug :Text, result :Bool);   # 31.99 and later.
  getTransactionsByTxID @8 () -> ();
  getTransactionsByWitnessID @9 (context :Context, ids :List(Data)) -> (result :List(Data));     # 31.99 and later.
}

struct BlockCreateOptions {
  useMempool @0 :Bool = true;
  blockReservedWeight @1 :UInt64 = 8000;
  coinbaseOutputMaxAdditionalSigops @2 :UInt64 = 400;
}

struct BlockCheckOptions {
  checkMerkleRoot @0 :Bool = true;
  checkPow @1 :Bool = true;
}

interface BlockTemplate @0xf9671ad841b2f622 {
  destroy @0 (context :Context) -> ();
  getBlockHeader @1 (context :Context) -> (result :Data);
  getBlock @2 (context :Context) -> (result :Data);
  getTxFees @3 () -> ();
  getTxSigops @4 () -> ();
  getCoinbaseTx @5 (context :Context) -> (result :CoinbaseTx);
  getCoinbaseMerklePath @6 (context :Context) -> (result :List(Data));
  # Bitcoin Core 32 answers this with an exception, and has its successor at the end.
  submitSolutionOf31 @7 (context :Context, version :UInt32, timestamp :UInt32, nonce :UInt32, coinbase :Data) -> (result :Bool);
  waitNext @8 (context :Context, options :BlockWaitOptions) -> (result :BlockTemplate);
  interruptWait @9 () -> ();
  submitSolution @10 (context :Context, version :UInt32, timestamp :UInt32, nonce :UInt32, coinbase :Data)
      -> (reason :Text, debug :Text, result :Bool);
}

struct BlockWaitOptions {
  timeout @0 :Float64 = 1.7976931348623157e308;  # Milliseconds.
  feeThreshold @1 :Int64 = 2100000000000000;     # Satoshi; this much or more: new tips alone.
}

struct CoinbaseTx {
  version @0 :UInt32;
  sequence @1 :UInt32;
  scriptSigPrefix @2 :Data;
  witness @3 :Data;                              # The reserved value of BIP141, or nothing.
  blockRewardRemaining @4 :Int64;                # Satoshi.
  requiredOutputs @5 :List(Data);                # Each a serialized output.
  lockTime @6 :UInt32;
}

interface Rpc @0xacb1d37f0a713129 {
  executeRpc @0 (context :Context, request :Text, uri :Text, user :Text) -> (result :Text);
}
