//! The interface that SRI's test suite uses of SRI's translator; what runs behind it is `adit translator`.
use adit_role::Role;
use config::TranslatorConfig;

pub mod config;

#[derive(Clone, Debug)]
pub struct TranslatorSv2 {
    role: Role,
}

impl TranslatorSv2 {
    pub fn new(config: TranslatorConfig) -> Self {
        Self { role: Role::new("translator", config.to_toml()) }
    }

    pub async fn start(&self) -> Result<(), std::io::Error> {
        self.role.start().await
    }

    pub async fn shutdown(&self) {
        self.role.shutdown().await
    }
}

impl Drop for TranslatorSv2 {
    fn drop(&mut self) {
        self.role.dropped()
    }
}
