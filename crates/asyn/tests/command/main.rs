//! The command as users meet it: every test runs the binary.

mod aligning;
mod bad_input;
mod bilstm;
mod convert;
mod decoding;
mod doctor;
mod forecast;
mod formats;
mod import;
mod microscope;
mod place;
mod replay;
mod resume;
mod scoring;
mod search;
mod tagging;
mod training;
