/** Where a value stands in a configuration, as a person writes it. */

/** `syncs.shop.streams["public.*"].mode` */
export function formatPath(path: readonly PropertyKey[]): string {
  return path
    .map((part, index) => {
      const words = String(part)
      if (typeof part === 'number' || !/^[\w-]+$/.test(words)) return `[${JSON.stringify(part)}]`
      return index === 0 ? words : `.${words}`
    })
    .join('')
}
