#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flock_core::fuzzing::bird_sessions(data));
