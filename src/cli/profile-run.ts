/** What a run under a profile says beside the progress: the profile's own words for connecting, reading and landing. */
import type { ConfiguredProfile } from '../config/profiles/profile.js'
import type { ProgressEvent } from '../model/report.js'
import { escapeText } from './escape.js'
import { describeStreamFailure } from './profile-errors.js'
import type { ProgressView } from './progress-view.js'
import type { Terminal } from './terminal.js'

export interface ProfileRun {
  readonly onProgress: (event: ProgressEvent) => void
  /** To be called when the source is closed. */
  sourceClosed(): void
}

export function followProfileRun(
  terminal: Terminal,
  view: ProgressView,
  profile: ConfiguredProfile | undefined,
): ProfileRun {
  if (profile === undefined) return { onProgress: view.onProgress, sourceClosed: () => undefined }
  const { runWords } = profile
  let connected = false
  const say = (text: string | undefined): void => {
    if (text === undefined || terminal.quiet) return
    view.note(`${terminal.style.dim('info:')} ${escapeText(text)}`)
  }
  return {
    onProgress: (event) => {
      if (event.kind === 'run_started') {
        connected = true
        say(runWords?.connected)
      }
      if (event.kind === 'stream_started') say(runWords?.reading)
      view.onProgress(event)
      if (event.kind !== 'stream_finished') return
      const { error, rowsLanded } = event.report
      if (error === null) say(runWords?.landed(rowsLanded))
      else {
        const line = describeStreamFailure(profile, error)
        if (line !== null) view.note(line)
      }
    },
    sourceClosed: () => {
      if (connected) say(runWords?.closed)
    },
  }
}
