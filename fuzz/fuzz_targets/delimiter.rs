#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| granary_fuzz::delimiter::run(input));
