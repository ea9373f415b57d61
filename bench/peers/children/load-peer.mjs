/** Loads a package that only the benchmark uses from where install.mjs has put it. */

/**
 * The default export of a package, or the module where there is none.
 * @param {string} name
 */
export async function loadPeer(name) {
  const { load } = await import(new URL('../../../.bench/peers/node/load.mjs', import.meta.url).href)
  const loaded = await load(name)
  return loaded.default ?? loaded
}
