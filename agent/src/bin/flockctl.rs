//! `flockctl`, see [`flock_agent::cli`].

fn main() -> std::process::ExitCode {
    flock_agent::cli::main()
}
