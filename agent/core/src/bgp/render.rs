//! A BIRD configuration as text, from the templates in `bird-templates/`.
//!
//! `view` turns typed values into the words of the templates; the templates decide nothing but layout. What they
//! give is the same for every BIRD from 2.0.12 on. Anycast routes come into it afterwards: `anycast`.

mod anycast;
mod view;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde::Serialize;

pub use self::anycast::{ANYCAST_PROTOCOLS, AnycastRoutes, Base, Change};
use self::view::View;
use super::config::{BirdConfig, REVISION};
use crate::fnv::{fnv1a_32, fnv1a_64};

/// The templates contradict what they are given: a bug, which the tests are there to find.
#[derive(Debug, thiserror::Error)]
#[error("bird.conf cannot be written: {0}")]
pub struct RenderError(String);

/// A configuration as BIRD reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BirdConf {
    /// The file's content.
    pub text: String,
    /// What `eval flock_revision` answers in a BIRD that runs it: a hash of everything else in the file but anycast
    /// routes.
    pub revision: String,
}

macro_rules! template {
    ($name:literal) => {
        ($name, include_str!(concat!("../../../../bird-templates/", $name)))
    };
}

const CONFIG: &str = "bird.conf.j2";
const BOOTSTRAP: &str = "bootstrap.conf.j2";
const TEMPLATES: [(&str, &str); 6] = [
    template!("base.conf.j2"),
    template!("bird.conf.j2"),
    template!("bootstrap.conf.j2"),
    template!("channel.conf.j2"),
    template!("family.conf.j2"),
    template!("session.conf.j2"),
];

/// The configuration's text. Same input, same bytes.
///
/// # Errors
/// Never, unless a template is wrong.
pub fn render(config: &BirdConfig) -> Result<BirdConf, RenderError> {
    Ok(base(config)?.with(&AnycastRoutes::of(config)))
}

/// The configuration but for its anycast routes.
///
/// # Errors
/// Never, unless a template is wrong.
pub fn base(config: &BirdConfig) -> Result<Base, RenderError> {
    let BirdConf { text, revision } = signed(&fill(CONFIG, View::of(config))?)?;
    Ok(Base::new(text, revision))
}

/// What BIRD starts with while nothing is known of the node: it speaks with nobody and touches no route.
///
/// # Errors
/// Never, unless the template is wrong.
pub fn bootstrap() -> Result<BirdConf, RenderError> {
    signed(&fill(BOOTSTRAP, ())?)
}

fn fill(template: &str, view: impl Serialize) -> Result<String, RenderError> {
    let wrong = |error: minijinja::Error| RenderError(error.to_string());
    let environment = environment().map_err(wrong)?;
    environment.get_template(template).and_then(|template| template.render(Serde(view))).map_err(wrong)
}

fn environment() -> Result<Environment<'static>, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    // Statements stand on lines of their own, which leave nothing behind.
    let mut syntax = SyntaxConfig::builder();
    syntax.trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true);
    environment.set_syntax(syntax.build()?);
    for (name, source) in TEMPLATES {
        environment.add_template(name, source)?;
    }
    Ok(environment)
}

/// The text with its revision in the place that the templates leave for it.
fn signed(text: &str) -> Result<BirdConf, RenderError> {
    let place = format!("define {REVISION} = \"");
    let missing = || RenderError(format!("no template says `{place}\";`"));
    let (before, after) = text.split_once(&place).ok_or_else(missing)?;
    let revision = format!("{:016x}", fnv1a_64(without_secrets(text).as_bytes()));
    Ok(BirdConf { text: format!("{before}{place}{revision}{after}"), revision })
}

/// What the revision is a hash of. Everybody who may read the NodeConfig's status sees it, and FNV can be turned back:
/// of a password only 16 bits go into it, enough to notice that it is another one.
fn without_secrets(text: &str) -> String {
    let public = |line| match str::trim_start(line).starts_with("password \"") {
        true => Cow::Owned(format!("{:04x}\n", fnv1a_32(line.as_bytes()) >> 16)),
        false => Cow::Borrowed(line),
    };
    text.split_inclusive('\n').map(public).collect()
}
