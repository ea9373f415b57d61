/** Summaries of V8 CPU profiles (`--cpu-prof`): where each thread of a job spent its time. */
import { readFile, readdir } from 'node:fs/promises'
import { basename, join } from 'node:path'

/** The parts of the format that are used; https://chromedevtools.github.io/devtools-protocol/tot/Profiler/#type-Profile. */
export interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
  }[]
  readonly samples: readonly number[]
  /** Microseconds since the sample before. */
  readonly timeDeltas: readonly number[]
}

export interface SelfTime {
  readonly place: string
  readonly seconds: number
  readonly share: number
}

/** Self time by function, greatest first; `(idle)` is waiting, `(program)` is native code. Pure. */
export function selfTimes(profile: CpuProfile): readonly SelfTime[] {
  const names = new Map(
    profile.nodes.map(({ id, callFrame: { functionName, url, lineNumber } }) => {
      const name = functionName === '' ? '(anonymous)' : functionName
      return [id, url === '' ? name : `${name} ${basename(url)}:${String(lineNumber + 1)}`]
    }),
  )
  const micros = new Map<string, number>()
  let total = 0
  profile.samples.forEach((id, index) => {
    const place = names.get(id) ?? '(unknown)'
    const delta = Math.max(0, profile.timeDeltas[index] ?? 0)
    micros.set(place, (micros.get(place) ?? 0) + delta)
    total += delta
  })
  return [...micros]
    .sort(([, a], [, b]) => b - a)
    .map(([place, time]) => ({ place, seconds: time / 1e6, share: total === 0 ? 0 : time / total }))
}

const SHOWN = 14
/** Threads that did less are not worth reading about. */
const MIN_SECONDS = 0.05

export async function summarizeProfiles(folder: string): Promise<string> {
  const lines: string[] = []
  for (const file of (await readdir(folder)).filter((name) => name.endsWith('.cpuprofile')).sort()) {
    const times = selfTimes(JSON.parse(await readFile(join(folder, file), 'utf8')) as CpuProfile)
    const busy = times
      .filter(({ place }) => place !== '(idle)')
      .reduce((sum, { seconds }) => sum + seconds, 0)
    if (busy < MIN_SECONDS) continue
    lines.push('', `${file}: ${busy.toFixed(2)} s busy`)
    for (const { place, seconds, share } of times.slice(0, SHOWN)) {
      lines.push(`  ${seconds.toFixed(2).padStart(6)} s ${(share * 100).toFixed(1).padStart(5)} %  ${place}`)
    }
  }
  return `${lines.join('\n')}\n`
}
