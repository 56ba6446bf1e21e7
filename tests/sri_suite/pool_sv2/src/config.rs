//! What the suite tells a pool, as the TOML that `adit pool` reads.
use adit_role::text;
use std::{fmt::Write, net::SocketAddr};
use stratum_apps::{
    bitcoin_core_sv2::runtime_api::BitcoinCoreVersion,
    config_helpers::CoinbaseRewardScript,
    key_utils::{Secp256k1PublicKey, Secp256k1SecretKey},
    tp_type::{BitcoinNetwork, TemplateProviderType},
};

pub struct ConnectionConfig {
    listen_address: SocketAddr,
    cert_validity_sec: u64,
    signature: String,
}

impl ConnectionConfig {
    pub fn new(listen_address: SocketAddr, cert_validity_sec: u64, signature: String) -> Self {
        Self { listen_address, cert_validity_sec, signature }
    }
}

pub struct AuthorityConfig {
    public_key: Secp256k1PublicKey,
    secret_key: Secp256k1SecretKey,
}

impl AuthorityConfig {
    pub fn new(public_key: Secp256k1PublicKey, secret_key: Secp256k1SecretKey) -> Self {
        Self { public_key, secret_key }
    }
}

#[derive(Clone, Debug)]
pub struct JDSPartialConfig {
    listen_address: SocketAddr,
}

impl JDSPartialConfig {
    pub fn new(listen_address: SocketAddr) -> Self {
        Self { listen_address }
    }
}

#[derive(Clone, Debug)]
pub struct PoolConfig {
    toml: String,
}

impl PoolConfig {
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        connection: ConnectionConfig,
        template_provider: TemplateProviderType,
        authority: AuthorityConfig,
        coinbase_reward_script: CoinbaseRewardScript,
        shares_per_minute: f32,
        share_batch_size: usize,
        server_id: u8,
        supported_extensions: Vec<u16>,
        required_extensions: Vec<u16>,
        monitoring_address: Option<SocketAddr>,
        monitoring_cache_refresh_secs: Option<u64>,
        jds: Option<JDSPartialConfig>,
    ) -> Self {
        let script = coinbase_reward_script.script_pubkey().to_hex_string();
        let mut toml = format!(
            "listen_address = {}\nauthority_public_key = {}\nauthority_secret_key = {}\ncert_validity_sec = {}\n\
             pool_signature = {}\ncoinbase_reward_script = \"raw({script})\"\nshares_per_minute = {shares_per_minute:?}\n\
             share_batch_size = {share_batch_size}\nserver_id = {server_id}\nsupported_extensions = {supported_extensions:?}\n\
             required_extensions = {required_extensions:?}\ndata_dir = \"{{folder}}/data\"\n",
            text(connection.listen_address),
            text(authority.public_key),
            text(authority.secret_key),
            connection.cert_validity_sec,
            text(connection.signature),
        );
        if let Some(address) = monitoring_address {
            writeln!(toml, "monitoring_address = {}", text(address)).unwrap();
        }
        if let Some(seconds) = monitoring_cache_refresh_secs {
            writeln!(toml, "monitoring_cache_refresh_secs = {seconds}").unwrap();
        }
        if let Some(jds) = jds {
            writeln!(toml, "[jds]\nlisten_address = {}", text(jds.listen_address)).unwrap();
        }
        toml += &template_provider_toml(&template_provider);
        Self { toml }
    }

    pub fn to_toml(&self) -> String {
        self.toml.clone()
    }
}

fn template_provider_toml(provider: &TemplateProviderType) -> String {
    match provider {
        TemplateProviderType::Sv2Tp { address, public_key } => {
            let key = public_key.map(|key| format!("public_key = {}\n", text(key))).unwrap_or_default();
            format!("[template_provider_type.Sv2Tp]\naddress = {}\n{key}", text(address))
        }
        TemplateProviderType::BitcoinCoreIpc { version, network, data_dir, fee_threshold, min_interval } => {
            let network = match network {
                BitcoinNetwork::Mainnet => "mainnet",
                BitcoinNetwork::Testnet4 => "testnet4",
                BitcoinNetwork::Signet => "signet",
                BitcoinNetwork::Regtest => "regtest",
            };
            let version = match version {
                BitcoinCoreVersion::V30X => 30,
                BitcoinCoreVersion::V31X => 31,
            };
            let data_dir =
                data_dir.as_ref().map(|dir| format!("data_dir = {}\n", text(dir.display()))).unwrap_or_default();
            format!(
                "[template_provider_type.BitcoinCoreIpc]\nversion = {version}\nnetwork = \"{network}\"\n{data_dir}\
                 fee_threshold = {fee_threshold}\nmin_interval = {min_interval}\n"
            )
        }
    }
}
