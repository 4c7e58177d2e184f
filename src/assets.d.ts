/** Files that the executable embeds: the import is their path. */
declare module "*.so" {
  const path: string;
  export default path;
}
