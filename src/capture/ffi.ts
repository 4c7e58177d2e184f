/**
 * The native functions for capturing, and the only place that loads native code. FFI does not keep typed arrays alive:
 * a caller that passes one keeps a reference as long as native code may use it.
 */
import { dlopen, type Pointer } from "bun:ffi";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { RefusalError } from "../errors.ts";
import embeddedArm64 from "./libpcap/libpcap-linux-arm64.so" with { type: "file" };
import embeddedX64 from "./libpcap/libpcap-linux-x64.so" with { type: "file" };

/** The name on Debian and Ubuntu, and the name elsewhere. */
const SYSTEM_LIBRARIES = ["libpcap.so.0.8", "libpcap.so.1"];
/**
 * The directories of systems' libraries. A bare name would be looked for in the working directory, too (by Bun's
 * dlopen, if the system has none): root would run code that anyone has put there.
 */
const ARCHITECTURE = process.arch === "arm64" ? "aarch64" : "x86_64";
const SYSTEM_DIRECTORIES = [`/usr/lib/${ARCHITECTURE}-linux-gnu`, "/usr/lib64", "/usr/lib", "/usr/local/lib"];

const pcapSymbols = {
  pcap_lib_version: { args: [], returns: "cstring" },
  pcap_create: { args: ["cstring", "ptr"], returns: "ptr" },
  pcap_set_snaplen: { args: ["ptr", "int"], returns: "int" },
  pcap_set_timeout: { args: ["ptr", "int"], returns: "int" },
  pcap_set_buffer_size: { args: ["ptr", "int"], returns: "int" },
  pcap_activate: { args: ["ptr"], returns: "int" },
  pcap_setnonblock: { args: ["ptr", "int", "ptr"], returns: "int" },
  pcap_datalink: { args: ["ptr"], returns: "int" },
  pcap_compile: { args: ["ptr", "ptr", "cstring", "int", "u32"], returns: "int" },
  pcap_setfilter: { args: ["ptr", "ptr"], returns: "int" },
  pcap_freecode: { args: ["ptr"], returns: "void" },
  pcap_fileno: { args: ["ptr"], returns: "int" },
  pcap_dispatch: { args: ["ptr", "int", "ptr", "ptr"], returns: "int" },
  pcap_dump_fopen: { args: ["ptr", "ptr"], returns: "ptr" },
  pcap_dump: { args: ["ptr", "ptr", "ptr"], returns: "void" },
  pcap_stats: { args: ["ptr", "ptr"], returns: "int" },
  pcap_statustostr: { args: ["int"], returns: "cstring" },
  pcap_geterr: { args: ["ptr"], returns: "cstring" },
  pcap_close: { args: ["ptr"], returns: "void" },
} as const;

const libcSymbols = {
  fmemopen: { args: ["ptr", "u64", "cstring"], returns: "ptr" },
  setvbuf: { args: ["ptr", "ptr", "int", "u64"], returns: "int" },
  __fpending: { args: ["ptr"], returns: "u32" },
  __fpurge: { args: ["ptr"], returns: "void" },
  fclose: { args: ["ptr"], returns: "int" },
  socket: { args: ["int", "int", "int"], returns: "int" },
  setsockopt: { args: ["int", "int", "int", "ptr", "u32"], returns: "int" },
  getsockopt: { args: ["int", "int", "int", "ptr", "ptr"], returns: "int" },
  bind: { args: ["int", "ptr", "u32"], returns: "int" },
  socketpair: { args: ["int", "int", "int", "ptr"], returns: "int" },
  poll: { args: ["ptr", "u64", "int"], returns: "int" },
  close: { args: ["int"], returns: "int" },
  getpwnam: { args: ["cstring"], returns: "ptr" },
  setgroups: { args: ["u64", "ptr"], returns: "int" },
  setgid: { args: ["u32"], returns: "int" },
  setuid: { args: ["u32"], returns: "int" },
} as const;

function openPcap(path: string) {
  return dlopen(path, pcapSymbols);
}

export type Libpcap = ReturnType<typeof openPcap>["symbols"];

/** A pointer to a native object. */
export type NativePointer = NonNullable<ReturnType<Libpcap["pcap_create"]>>;

/** libpcap, and the place where it was found. */
export interface LoadedLibpcap {
  readonly pcap: Libpcap;
  /** pcap_dump itself, which libpcap calls back. */
  readonly dumpCallback: Pointer;
  readonly origin: string;
}

/**
 * Loads libpcap: `path` if one is given, else the system's, else the one embedded in the executable.
 * Throws RefusalError.
 */
export function loadLibpcap(path: string | undefined): LoadedLibpcap {
  if (path !== undefined) {
    const given = tryLoad(path, path);
    if (given instanceof Error) throw new RefusalError(`Cannot load libpcap from ${path}: ${given.message}`);
    return given;
  }
  for (const name of SYSTEM_LIBRARIES) {
    for (const directory of SYSTEM_DIRECTORIES) {
      const file = join(directory, name);
      const system = existsSync(file) ? tryLoad(file, `the system's ${name}`) : undefined;
      if (system !== undefined && !(system instanceof Error)) return system;
    }
  }
  const embedded = process.arch === "arm64" ? embeddedArm64 : embeddedX64;
  const loaded = tryLoad(embedded, "the embedded libpcap");
  if (loaded instanceof Error) {
    throw new RefusalError(
      `Cannot load libpcap: neither ${SYSTEM_LIBRARIES.join(" nor ")} is installed, and the embedded one cannot be unpacked ` +
        "and loaded; set TMPDIR to a directory where programs may be executed, install libpcap or name one with --libpcap PATH",
    );
  }
  return loaded;
}

function tryLoad(path: string, origin: string): LoadedLibpcap | Error {
  try {
    const library = openPcap(path);
    const dump = library.symbols.pcap_dump as typeof library.symbols.pcap_dump & { ptr: Pointer };
    return { pcap: library.symbols, dumpCallback: dump.ptr, origin };
  } catch (error) {
    return error as Error;
  }
}

function openLibc() {
  return dlopen("libc.so.6", libcSymbols).symbols;
}

export type Libc = ReturnType<typeof openLibc>;

let libc: Libc | undefined;

export function loadLibc(): Libc {
  return (libc ??= openLibc());
}

/** A C string's bytes; the caller keeps them alive. */
export function cString(text: string): Uint8Array {
  return Buffer.from(`${text}\0`, "utf8");
}
