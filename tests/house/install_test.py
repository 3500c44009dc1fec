#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What `cmake --install` leaves works without the build folder: files lie where Debian and GStreamer look, a program builds with pkg-config alone,
the command finds its backend and model, GStreamer finds the element.

Usage: install_test.py BUILD LIBDIR PARTS...     PARTS: what was built, of cpu, plugin and command
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

FILES = {
    "library": ["{lib}/libkerb.so", "{lib}/libkerb.so.0", "{lib}/pkgconfig/kerb.pc", "include/kerb.h", "share/kerb/models/drive-free.onnx", "share/kerb/models/drive-free.json"],
    "cpu": ["{lib}/kerb/kerb-cpu.so"],
    "plugin": ["{lib}/gstreamer-1.0/libgstkerb.so", "include/gst/kerb/kerbmeta.h"],
    "command": ["bin/kerb"],
}


def run(*command, env, status=0):
    """Standard output of a command that must end with `status`."""
    done = subprocess.run([str(c) for c in command], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != status:
        sys.exit(f"{' '.join(map(str, command))}: exit status {done.returncode}, not {status}\n{done.stdout}{done.stderr}")
    return done.stdout


def check_files(prefix, libdir, parts):
    expected = [f.format(lib=libdir) for part in ("library", *parts) for f in FILES[part]]
    missing = [f for f in expected if not (prefix / f).is_file()]
    if missing:
        sys.exit(f"not installed below {prefix}: {', '.join(missing)}")


def check_no_build_folder(prefix, build, work, env):
    """Binaries name the build folder neither as a place of libraries nor in their data (debug information may)."""
    for path in sorted(p for p in prefix.rglob("*") if p.is_file() and not p.is_symlink()):
        data = path.read_bytes()
        if data[:4] == b"\x7fELF":
            stripped = work / "stripped"
            run("objcopy", "--strip-debug", path, stripped, env=env)
            data = stripped.read_bytes()
        if str(build).encode() in data:
            sys.exit(f"{path.relative_to(prefix)} refers to {build}")


def check_library_found(binary, libdir, env):
    """The dynamic linker finds libkerb below the prefix without LD_LIBRARY_PATH."""
    found = [line.split("=>")[1].split()[0] for line in run("ldd", binary, env=env).splitlines() if "libkerb.so" in line and "not found" not in line]
    if [pathlib.Path(f).resolve().parent for f in found] != [libdir.resolve()]:
        sys.exit(f"{binary} does not find libkerb.so in {libdir}: {found or 'not found'}")


def check_headers(work, parts, env):
    """Each installed header compiles alone, as C and as C++."""
    headers = {"kerb.h": ["kerb"]}
    if "plugin" in parts:
        headers["gst/kerb/kerbmeta.h"] = ["kerb", "gstreamer-video-1.0"]
    for header, packages in headers.items():
        flags = run("pkg-config", "--cflags", *packages, env=env).split()
        for language, standard in (("c", "c11"), ("c++", "c++17")):
            source = work / "header"
            source.write_text(f"#include <{header}>\n")
            run("gcc", "-x", language, f"-std={standard}", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", *flags, source, env=env)


def check_example(prefix, libdir, work, source, env):
    """docs/example.c as its own first lines say to build it."""
    flags = run("pkg-config", "--cflags", "--libs", "kerb", env=env).split()
    run("cc", source / "docs/example.c", "-o", work / "example", *flags, env=env)
    run(work / "example", source / "models/drive-free.onnx", work / "out.ppm", env={**env, "LD_LIBRARY_PATH": str(prefix / libdir)})
    if not (work / "out.ppm").read_bytes().startswith(b"P6\n640 360\n255\n"):
        sys.exit("the example wrote no picture")


def default_model(prefix):
    """The file that is taken where no model is named."""
    models = prefix / "share/kerb/models"
    return next(m for m in (models / "drive.onnx", models / "drive-free.onnx") if m.is_file())


def check_default_model(prefix, libdir, work, env):
    """The library finds its models in the prefix, and takes drive-free where somebody has deleted drive."""
    (work / "default.c").write_text('#include <kerb.h>\n#include <stdio.h>\nint main(void) { char path[KERB_PATH_BYTES]; KerbError e; int s = kerb_model_default(path, &e);'
                                    ' puts(s ? e.message : path); return kerb_exit_code(s); }\n')
    run("cc", work / "default.c", "-o", work / "default", *run("pkg-config", "--cflags", "--libs", "kerb", env=env).split(), env=env)
    env = {**env, "LD_LIBRARY_PATH": str(prefix / libdir)}

    def expect(status, text):
        said = run(work / "default", env=env, status=status)
        if text not in said:
            sys.exit(f"the default model: {said.strip()}, not {text}")
    expect(0, str(default_model(prefix)))
    models = prefix / "share/kerb/models"
    models.rename(work / "away")
    expect(3, "share/kerb/models")
    models.mkdir()
    for name in ("drive-free.onnx", "drive.onnx"):
        (models / name).touch()
        expect(0, str(models / name))
    shutil.rmtree(models)
    (work / "away").rename(models)


def check_appsink(prefix, libdir, work, source, env):
    """docs/appsink.c, too: the header of the metadata alone, with the element as it is installed."""
    flags = run("pkg-config", "--cflags", "kerb", env=env).split() + run("pkg-config", "--cflags", "--libs", "gstreamer-app-1.0", env=env).split()
    run("cc", source / "docs/appsink.c", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror", "-o", work / "appsink", *flags, env=env)
    out = run(work / "appsink", source / "models/drive-free.onnx", env={**env, "GST_PLUGIN_PATH": str(prefix / libdir / "gstreamer-1.0")})
    if out.count(" s, labels 0 ms old:  ") != 10 or "road" not in out:
        sys.exit(f"docs/appsink.c read no labels:\n{out}")


def check_command(prefix, parts, work, env):
    devices = run(prefix / "bin/kerb", "devices", "--json", env=env)
    usable = {d["name"]: d["usable"] for d in json.loads(devices)["backends"]}
    if not usable.get("ref") or bool(usable.get("cpu")) != ("cpu" in parts):
        sys.exit(f"kerb devices: unexpected\n{devices}")
    # The default model, the plugin and the recording, in one go.
    if "plugin" in parts:
        run(prefix / "bin/kerb", "record", "test:", "--duration=0.2", "-o", work / "out.mkv", env=env)
        if (work / "out.mkv").stat().st_size < 1000:
            sys.exit("kerb record wrote nothing")
    inspected = json.loads(run(prefix / "bin/kerb", "inspect", "--json", env=env))["file"]
    if inspected != str(default_model(prefix)):
        sys.exit(f"kerb inspect without a model looked at {inspected}")


def main():
    build, libdir, parts = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2], sys.argv[3:]
    source = pathlib.Path(__file__).resolve().parents[2]
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        prefix = work / "prefix"
        # Nothing of the environment that ctest or a developer has set points at the build.
        env = {k: v for k, v in os.environ.items() if not k.startswith(("KERB_", "GST_", "LD_", "PKG_CONFIG"))}
        env["PATH"] = os.pathsep.join(p for p in env["PATH"].split(os.pathsep) if not p.startswith(str(build)))
        env.update(HOME=folder, XDG_CACHE_HOME=folder, PKG_CONFIG_PATH=str(prefix / libdir / "pkgconfig"))
        run("cmake", "--install", build, "--prefix", prefix, env=env)
        check_files(prefix, libdir, parts)
        check_no_build_folder(prefix, build, work, env)
        check_headers(work, parts, env)
        check_example(prefix, libdir, work, source, env)
        check_default_model(prefix, libdir, work, env)
        if "plugin" in parts:
            check_library_found(prefix / libdir / "gstreamer-1.0/libgstkerb.so", prefix / libdir, env)
            check_appsink(prefix, libdir, work, source, env)
            if shutil.which("gst-inspect-1.0"):
                plugins = {**env, "GST_PLUGIN_PATH": str(prefix / libdir / "gstreamer-1.0")}
                run("gst-inspect-1.0", "kerbseg", env=plugins)
                said = run("gst-launch-1.0", "kerbtestsrc", "num-buffers=1", "!", "kerbseg", "!", "fakesink", env=plugins)
                if str(default_model(prefix)) not in said:
                    sys.exit(f"kerbseg without model-file does not say that it takes {default_model(prefix)}:\n{said}")
        if "command" in parts:
            check_library_found(prefix / "bin/kerb", prefix / libdir, env)
            check_command(prefix, parts, work, env)
        # A package is staged with DESTDIR, under the prefix that the build was configured for.
        run("cmake", "--install", build, env={**env, "DESTDIR": str(work / "staged")})
        staged = next((work / "staged").rglob("include/kerb.h")).parents[1]
        check_files(staged, libdir, parts)
    print(f"installed and used: library {' '.join(parts)}")


main()
