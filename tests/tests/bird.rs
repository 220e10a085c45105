//! BIRD's own parser reads what flock renders: `bird -p`. Needs BIRD, but neither root nor a network.

#![expect(clippy::unwrap_used, reason = "a test: panics are its errors")]

#[path = "bird/arbitrary.rs"]
mod arbitrary;
#[path = "bird/claims.rs"]
mod claims;
#[path = "bird/golden.rs"]
mod golden;
#[path = "bird/hostile.rs"]
mod hostile;
#[path = "bird/model.rs"]
mod model;
#[path = "bird/parser.rs"]
mod parser;
#[path = "bird/plans.rs"]
mod plans;

use std::process::ExitCode;

use anyhow::Result;
use flock_tests::requirements;
use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    // Those who skip what needs root may not be able to install anything either.
    let skipped = requirements::skip_requested() && parser::bird().is_err();
    let with_bird = [
        (
            "every_golden_file_is_read_by_bird",
            golden::every_golden_file_is_read_by_bird as fn() -> Result<()>,
        ),
        ("every_valid_plan_becomes_a_file_that_bird_reads", plans::every_plan_is_read_by_bird),
    ];
    let pure = [
        (
            "nothing_but_the_nodes_own_prefixes_is_exported",
            plans::only_own_prefixes_are_exported as fn() -> Result<()>,
        ),
        ("what_pods_may_claim_is_exported", plans::what_may_be_claimed_is_exported),
        ("anycast_routes_are_replaced_in_the_text", plans::routes_are_replaced_in_the_text),
        ("nothing_on_a_link_or_of_the_node_is_learned", plans::nothing_protected_is_learned),
        ("hostile_values_end_at_the_typed_parsers", hostile::values_end_at_the_parsers),
        ("the_kernel_filter_knows_flocks_own_routes", golden::the_kernel_filter_knows_flocks_own_routes),
    ];
    let with_bird = with_bird.map(|(name, body)| trial(name, body).with_ignored_flag(skipped));
    let pure = pure.map(|(name, body)| trial(name, body));
    libtest_mimic::run(&arguments, with_bird.into_iter().chain(pure).collect()).exit_code()
}

fn trial(name: &str, body: fn() -> Result<()>) -> Trial {
    Trial::test(name, move || body().map_err(|error| Failed::from(format!("{error:#}"))))
}
