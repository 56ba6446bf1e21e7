//! SRI's rule of difficulty. Its state is two numbers, which it lets anybody set: the shares since the last change, and when that
//! was, by the system's clock. So each question says both, as its own tests do, and no clock has to be made up.

use crate::pipe::{Reader, Writer};
use crate::Refusal;
use bitcoin::Target;
use channels_sv2::vardiff::classic::VardiffState;
use channels_sv2::vardiff::Vardiff;
use std::time::{SystemTime, UNIX_EPOCH};

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

/// Request: `u32 seconds since the last change | u32 shares since then | 3 x f32: assumed hash rate, least hash rate, wanted shares a
/// minute | 32 bytes target`. Answer: `f32 corrected hash rate`, or nothing.
pub fn judge(reader: &mut Reader, writer: &mut Writer) -> Result<(), Refusal> {
    let (elapsed, shares) = (reader.u32()?, reader.u32()?);
    let mut float = || reader.u32().map(f32::from_bits);
    let (assumed, least, wanted) = (float()?, float()?, float()?);
    let target = Target::from_le_bytes(reader.array()?);
    loop {
        let mut state = VardiffState::new_with_min(least).map_err(|e| format!("{e:?}"))?;
        let begun = now();
        state.set_shares_since_last_update(shares);
        state.set_timestamp_of_last_update(begun - u64::from(elapsed));
        let corrected = state.try_vardiff(assumed, &target, wanted).map_err(|e| format!("{e:?}"))?;
        // Else a second passed meanwhile, and it was told of one more.
        if now() == begun {
            if let Some(corrected) = corrected {
                writer.raw(&corrected.to_bits().to_le_bytes());
            }
            return Ok(());
        }
    }
}
