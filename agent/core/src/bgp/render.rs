//! A BIRD configuration as text, from the templates in `bird-templates/`.

use super::config::BirdConfig;

/// The templates contradict what they are given: a bug, which the tests are there to find.
#[derive(Debug, thiserror::Error)]
#[error("bird.conf cannot be written: {0}")]
pub struct RenderError(String);

/// A configuration as BIRD reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BirdConf {
    /// The file's content.
    pub text: String,
    /// What `eval flock_revision` answers in a BIRD that runs it: a hash of everything else in the file.
    pub revision: String,
}

/// The configuration's text. Same input, same bytes.
///
/// # Errors
/// Never, unless a template is wrong.
pub fn render(config: &BirdConfig) -> Result<BirdConf, RenderError> {
    let _ = config;
    Err(RenderError("not written yet".to_owned()))
}

/// What BIRD starts with while nothing is known of the node: it speaks with nobody and touches no route.
///
/// # Errors
/// Never, unless the template is wrong.
pub fn bootstrap() -> Result<BirdConf, RenderError> {
    Err(RenderError("not written yet".to_owned()))
}
