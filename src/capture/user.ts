/**
 * Makes the process an ordinary user's, after all that only root may open is open. glibc's functions change every
 * thread of the process (nptl(7)); a bare system call would change only the calling thread, and the shards would stay
 * root.
 */
import { read } from "bun:ffi";
import { RefusalError } from "../errors.ts";
import { cString, loadLibc } from "./ffi.ts";

/** struct passwd: name (8), password (8), user (4), group (4). */
const PASSWD_UID_OFFSET = 16;
const PASSWD_GID_OFFSET = 20;
const ROOT_UID = 0;

/** The user that the process becomes. */
export interface User {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** Finds a user. Throws RefusalError if there is no such user, or this process cannot change its user. */
export function findUser(name: string): User {
  if (process.geteuid!() !== ROOT_UID) throw refusal(name, "only root can become another user; leave out --user");
  const written = cString(name);
  const passwd = loadLibc().getpwnam(written);
  if (passwd === null) throw refusal(name, "there is no such user");
  const uid = read.u32(passwd, PASSWD_UID_OFFSET);
  if (uid === ROOT_UID) throw refusal(name, "this is root itself; name an ordinary user");
  return { name, uid, gid: read.u32(passwd, PASSWD_GID_OFFSET) };
}

/** Gives up root, its groups and its capabilities for good, in all threads. Throws RefusalError. */
export function becomeUser({ name, uid, gid }: User): void {
  const libc = loadLibc();
  // The user last: only root may change the groups.
  const isDone = libc.setgroups(0, null) === 0 && libc.setgid(gid) === 0 && libc.setuid(uid) === 0;
  if (!isDone) throw refusal(name, "the system does not let this process (CAP_SETUID, CAP_SETGID)");
}

function refusal(name: string, why: string): RefusalError {
  return new RefusalError(`Cannot run as ${name}: ${why}`);
}
