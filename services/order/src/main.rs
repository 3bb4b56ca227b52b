fn main() -> std::process::ExitCode {
    service::main("order", order::run)
}
