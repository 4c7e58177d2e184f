/** What this build is. scripts/build defines the constants; without it the sources run as they are. */
declare const BUILD_VERSION: string | undefined;
declare const BUILD_COMMIT: string | undefined;

export const VERSION = typeof BUILD_VERSION === "string" ? BUILD_VERSION : "0.0.0-source";
export const COMMIT = typeof BUILD_COMMIT === "string" ? BUILD_COMMIT : "unknown";

/** One line; scripts/build --check finds the commit by it in the executable. */
export const VERSION_LINE = `vxlan-to-http ${VERSION} (commit ${COMMIT}, Bun ${Bun.version})`;
