//! What SRI's test suite uses of corepc-node, for a Bitcoin Core that has no wallet. The coins are anyone's: each address is that
//! of one script, which is true, and what the node mined to it is spent by showing that script.
use bitcoin::{
    absolute::LockTime, consensus::encode, transaction::Version, Address, Amount, Network, OutPoint, ScriptBuf, Sequence,
    Transaction, TxIn, TxOut, Txid, Witness,
};
use serde_json::{json, Value};
use std::{
    fmt, fs,
    net::{Ipv4Addr, SocketAddrV4, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        atomic::{AtomicU64, Ordering},
        Mutex,
    },
    thread::sleep,
    time::{Duration, Instant},
};

pub use serde_json;

pub mod types {
    #[derive(Debug, serde::Deserialize)]
    pub struct GetBlockchainInfo {
        pub chain: String,
        pub blocks: i64,
        pub difficulty: f64,
    }
}

#[derive(Debug)]
pub struct Error(String);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Error {}

fn error(what: impl fmt::Display) -> Error {
    Error(what.to_string())
}

type Result<T> = std::result::Result<T, Error>;

#[derive(Clone, Debug)]
pub struct Conf<'a> {
    pub args: Vec<&'a str>,
    pub network: &'a str,
    pub staticdir: Option<PathBuf>,
    pub wallet: Option<String>,
}

impl Default for Conf<'_> {
    fn default() -> Self {
        Self { args: vec!["-regtest", "-fallbackfee=0.0001"], network: "regtest", staticdir: None, wallet: None }
    }
}

#[derive(Clone, Debug)]
pub struct ConnectParams {
    pub cookie_file: PathBuf,
    pub rpc_socket: SocketAddrV4,
}

/// Ended with this object.
#[derive(Debug)]
pub struct Node {
    process: Mutex<Child>,
    pub params: ConnectParams,
    pub client: Client,
}

impl Node {
    /// Starts the node and waits until it answers. Where the suite's chain of real difficulty lies in the node's folder, there is a
    /// program in its place, whose first block has that difficulty without any work: that one runs, and mines that block.
    pub fn with_conf(program: impl AsRef<Path>, conf: &Conf<'_>) -> Result<Self> {
        let folder = conf.staticdir.clone().ok_or_else(|| error("no folder for the node"))?;
        fs::create_dir_all(&folder).map_err(error)?;
        let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).map_err(error)?.port();
        let hard = folder.join(conf.network).join("bitcoin-node");
        let is_hard = hard.exists();
        let program = if is_hard { hard.as_path() } else { program.as_ref() };
        // Without a wallet the node does not know what is about one.
        let args = conf.args.iter().filter(|arg| !arg.starts_with("-fallbackfee"));
        let process = Command::new(program)
            .args(args)
            .arg(format!("-datadir={}", folder.display()))
            .arg(format!("-rpcport={port}"))
            .args(["-listen=0", "-connect=0", "-server=1"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(error)?;
        let params = ConnectParams {
            cookie_file: folder.join(conf.network).join(".cookie"),
            rpc_socket: SocketAddrV4::new(Ipv4Addr::LOCALHOST, port),
        };
        let network = if conf.network == "regtest" { Network::Regtest } else { Network::Signet };
        let client = Client { params: params.clone(), network, spent: AtomicU64::new(0), mine: Mutex::new(()) };
        let node = Self { process: Mutex::new(process), params, client };
        let until = Instant::now() + Duration::from_secs(60);
        while let Err(reason) = node.client.get_blockchain_info() {
            if Instant::now() > until {
                return Err(reason);
            }
            sleep(Duration::from_millis(100));
        }
        if is_hard {
            node.client.generate_to_address(1, &node.client.new_address()?)?;
        }
        Ok(node)
    }

    pub fn stop(&mut self) -> Result<()> {
        end(&self.process)
    }
}

fn end(process: &Mutex<Child>) -> Result<()> {
    let mut child = process.lock().map_err(error)?;
    if child.try_wait().map_err(error)?.is_none() {
        child.kill().map_err(error)?;
        child.wait().map_err(error)?;
    }
    Ok(())
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = end(&self.process);
    }
}

#[derive(Debug)]
pub struct Client {
    params: ConnectParams,
    network: Network,
    /// Coinbases of ours, by height.
    spent: AtomicU64,
    mine: Mutex<()>,
}

pub struct BlockHashes(pub Vec<String>);
pub struct BestBlockHash(pub String);
pub struct Sent(Txid);

impl Sent {
    pub fn txid(&self) -> std::result::Result<Txid, Error> {
        Ok(self.0)
    }
}

impl Client {
    fn call(&self, method: &str, params: Value) -> Result<Value> {
        let cookie = fs::read_to_string(&self.params.cookie_file).map_err(error)?;
        let body = json!({"jsonrpc": "1.0", "id": 1, "method": method, "params": params});
        let answer = minreq::post(format!("http://{}", self.params.rpc_socket))
            .with_header("Authorization", format!("Basic {}", base64(cookie.trim().as_bytes())))
            .with_body(body.to_string())
            .with_timeout(120)
            .send()
            .map_err(error)?;
        let mut answer: Value = serde_json::from_slice(answer.as_bytes()).map_err(error)?;
        match answer["error"].take() {
            Value::Null => Ok(answer["result"].take()),
            reason => Err(error(format!("{method}: {reason}"))),
        }
    }

    pub fn get_blockchain_info(&self) -> Result<types::GetBlockchainInfo> {
        serde_json::from_value(self.call("getblockchaininfo", json!([]))?).map_err(error)
    }

    pub fn get_best_block_hash(&self) -> Result<BestBlockHash> {
        let hash = self.call("getbestblockhash", json!([]))?;
        hash.as_str().map(|hash| BestBlockHash(hash.to_owned())).ok_or_else(|| error("no hash"))
    }

    pub fn new_address(&self) -> Result<Address> {
        Ok(Address::p2wsh(&anyones(), self.network))
    }

    pub fn generate_to_address(&self, count: usize, to: &Address) -> Result<BlockHashes> {
        let hashes = self.call("generatetoaddress", json!([count, to.to_string(), 1_000_000_000]))?;
        serde_json::from_value(hashes).map(BlockHashes).map_err(error)
    }

    /// Spends the oldest coinbase of ours that was not spent yet.
    pub fn send_to_address(&self, to: &Address, amount: Amount) -> Result<Sent> {
        let _one_at_a_time = self.mine.lock().map_err(error)?;
        let ours = Address::p2wsh(&anyones(), self.network).script_pubkey();
        let tip = self.get_blockchain_info()?.blocks as u64;
        while self.spent.load(Ordering::Relaxed) + 100 <= tip {
            let height = self.spent.fetch_add(1, Ordering::Relaxed) + 1;
            let hash = self.call("getblockhash", json!([height]))?;
            let block: bitcoin::Block =
                encode::deserialize_hex(self.call("getblock", json!([hash, 0]))?.as_str().unwrap_or_default())
                    .map_err(error)?;
            let coinbase = &block.txdata[0];
            let Some((vout, coin)) = coinbase.output.iter().enumerate().find(|(_, output)| output.script_pubkey == ours)
            else {
                continue;
            };
            const FEE: Amount = Amount::from_sat(10_000);
            let mut witness = Witness::new();
            witness.push(anyones().as_bytes());
            let spend = Transaction {
                version: Version::TWO,
                lock_time: LockTime::ZERO,
                input: vec![TxIn {
                    previous_output: OutPoint::new(coinbase.compute_txid(), vout as u32),
                    script_sig: ScriptBuf::new(),
                    sequence: Sequence::MAX,
                    witness,
                }],
                output: vec![
                    TxOut { value: amount, script_pubkey: to.script_pubkey() },
                    TxOut { value: coin.value - amount - FEE, script_pubkey: ours.clone() },
                ],
            };
            self.call("sendrawtransaction", json!([encode::serialize_hex(&spend)]))?;
            return Ok(Sent(spend.compute_txid()));
        }
        Err(error("no coin is mature"))
    }
}

/// OP_TRUE
fn anyones() -> ScriptBuf {
    ScriptBuf::from_bytes(vec![0x51])
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            let value = (word >> (18 - 6 * digit)) & 63;
            text.push(if digit <= chunk.len() { DIGITS[value as usize] as char } else { '=' });
        }
    }
    text
}
