//! What the suite tells a translator, as the TOML that `adit translator` reads.
use adit_role::text;
use std::{fmt::Write, net::SocketAddr};
use stratum_apps::key_utils::Secp256k1PublicKey;

#[derive(Clone, Debug)]
pub struct Upstream {
    address: String,
    port: u16,
    authority_pubkey: Secp256k1PublicKey,
    user_identity: String,
}

impl Upstream {
    pub fn new(address: String, port: u16, authority_pubkey: Secp256k1PublicKey, user_identity: String) -> Self {
        Self { address, port, authority_pubkey, user_identity }
    }
}

#[derive(Clone, Debug)]
pub struct DownstreamDifficultyConfig {
    min_individual_miner_hashrate: f32,
    shares_per_minute: f32,
    enable_vardiff: bool,
    job_keepalive_interval_secs: u16,
}

impl DownstreamDifficultyConfig {
    pub fn new(
        min_individual_miner_hashrate: f32,
        shares_per_minute: f32,
        enable_vardiff: bool,
        job_keepalive_interval_secs: u16,
    ) -> Self {
        Self { min_individual_miner_hashrate, shares_per_minute, enable_vardiff, job_keepalive_interval_secs }
    }
}

#[derive(Clone, Debug)]
pub struct TranslatorConfig {
    toml: String,
}

impl TranslatorConfig {
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        upstreams: Vec<Upstream>,
        downstream_address: String,
        downstream_port: u16,
        difficulty: DownstreamDifficultyConfig,
        max_supported_version: u16,
        min_supported_version: u16,
        downstream_extranonce2_size: u16,
        verify_payout: bool,
        aggregate_channels: bool,
        supported_extensions: Vec<u16>,
        required_extensions: Vec<u16>,
        monitoring_address: Option<SocketAddr>,
        monitoring_cache_refresh_secs: Option<u64>,
    ) -> Self {
        let mut toml = format!(
            "downstream_address = {}\ndownstream_port = {downstream_port}\nmax_supported_version = {max_supported_version}\n\
             min_supported_version = {min_supported_version}\ndownstream_extranonce2_size = {downstream_extranonce2_size}\n\
             verify_payout = {verify_payout}\naggregate_channels = {aggregate_channels}\n\
             supported_extensions = {supported_extensions:?}\nrequired_extensions = {required_extensions:?}\n",
            text(downstream_address)
        );
        if let Some(address) = monitoring_address {
            writeln!(toml, "monitoring_address = {}", text(address)).unwrap();
        }
        if let Some(seconds) = monitoring_cache_refresh_secs {
            writeln!(toml, "monitoring_cache_refresh_secs = {seconds}").unwrap();
        }
        writeln!(
            toml,
            "[downstream_difficulty_config]\nmin_individual_miner_hashrate = {:?}\nshares_per_minute = {:?}\n\
             enable_vardiff = {}\njob_keepalive_interval_secs = {}",
            difficulty.min_individual_miner_hashrate,
            difficulty.shares_per_minute,
            difficulty.enable_vardiff,
            difficulty.job_keepalive_interval_secs
        )
        .unwrap();
        for upstream in upstreams {
            writeln!(
                toml,
                "[[upstreams]]\naddress = {}\nport = {}\nauthority_pubkey = {}\nuser_identity = {}",
                text(upstream.address),
                upstream.port,
                text(upstream.authority_pubkey),
                text(upstream.user_identity)
            )
            .unwrap();
        }
        Self { toml }
    }

    pub fn to_toml(&self) -> String {
        self.toml.clone()
    }
}
