fn main() -> std::process::ExitCode {
    service::main("commander", commander::run)
}
