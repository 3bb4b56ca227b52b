fn main() -> std::process::ExitCode {
    service::main("gateway", gateway::run)
}
