fn main() -> std::process::ExitCode {
    service::main("notification", notification::run)
}
