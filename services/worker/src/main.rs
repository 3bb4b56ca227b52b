fn main() -> std::process::ExitCode {
    service::main("worker", worker::run)
}
