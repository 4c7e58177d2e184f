/**
 * The version and commit of this build. scripts/build defines the constants; without it the sources run as they are.
 */
declare const BUILD_VERSION: string | undefined;
declare const BUILD_COMMIT: string | undefined;

export const VERSION = typeof BUILD_VERSION === "string" ? BUILD_VERSION : "0.0.0-source";
/** scripts/build --check finds the commit in the executable by this text before it. */
const COMMIT_MARK = "vxlan-to-http-commit:";
const MARKED_COMMIT =
  typeof BUILD_COMMIT === "string" ? `vxlan-to-http-commit:${BUILD_COMMIT}` : `${COMMIT_MARK}unknown`;
export const COMMIT = MARKED_COMMIT.slice(COMMIT_MARK.length);

export const VERSION_LINE = `vxlan-to-http ${VERSION} (commit ${COMMIT}, Bun ${Bun.version})`;
