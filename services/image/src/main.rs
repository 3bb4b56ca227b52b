fn main() -> std::process::ExitCode {
    service::main("image", image::run)
}
