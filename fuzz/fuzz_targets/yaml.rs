#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| granary_fuzz::yaml::run(input));
