//! The program from outside: real processes, their output, their exit codes.

mod driver;
mod errors;
mod machines;
mod one_machine;
