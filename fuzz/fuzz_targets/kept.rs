#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| granary_fuzz::kept::run(input));
