//! Lets plain `cargo build`, `run` and `test` find the DuckDB library at run time too.

use std::{env, path::PathBuf};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=DUCKDB_LIB_DIR");
    let has = |feature: &str| env::var_os(format!("CARGO_FEATURE_{feature}")).is_some();
    if !has("DUCKDB") || has("BUNDLED") {
        return;
    }
    let folder =
        env::var_os("DUCKDB_LIB_DIR").map_or_else(|| "vendor/duckdb".into(), PathBuf::from);
    let library = match env::var("CARGO_CFG_TARGET_OS").as_deref() {
        Ok("macos") => "libduckdb.dylib",
        Ok("windows") => "duckdb.dll",
        _ => "libduckdb.so",
    };
    let Ok(folder) = folder
        .canonicalize()
        .map_err(drop)
        .and_then(|folder| if folder.join(library).exists() { Ok(folder) } else { Err(()) })
    else {
        panic!(
            "there is no DuckDB library `{}`\nhint: run `make setup`, or set DUCKDB_LIB_DIR, or build with `--features bundled`",
            folder.join(library).display()
        );
    };
    println!("cargo:rerun-if-changed={}", folder.join(library).display());
    println!("cargo:rustc-link-search=native={}", folder.display());
    if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os != "windows") {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{}", folder.display());
    }
}
