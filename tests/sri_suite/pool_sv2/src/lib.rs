//! The interface that SRI's test suite uses of SRI's pool; what runs behind it is `adit pool`.
use adit_role::Role;
use config::PoolConfig;

pub mod config;

#[derive(Clone, Debug)]
pub struct PoolSv2 {
    role: Role,
}

impl PoolSv2 {
    pub fn new(config: PoolConfig) -> Self {
        Self { role: Role::new("pool", config.to_toml()) }
    }

    pub async fn start(&self) -> Result<(), std::io::Error> {
        self.role.start().await
    }

    pub async fn shutdown(&self) {
        self.role.shutdown().await
    }
}

impl Drop for PoolSv2 {
    fn drop(&mut self) {
        self.role.dropped()
    }
}
