fn main() -> std::process::ExitCode {
    service::main("auth", auth::run)
}
