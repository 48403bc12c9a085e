// How things are said on the home screen.

const STATUS: Record<string, string> = { running: 'learning now', finished: 'finished', stopped: 'stopped, can go on', failed: 'failed', gone: 'deleted' };

export function statusWords(status: string): string {
  return STATUS[status] ?? status;
}

/** Return how long ago a moment (ISO 8601) was, as people say it. */
export function ago(moment: string, now: number): string {
  const seconds = (now - Date.parse(moment)) / 1000;
  if (!Number.isFinite(seconds)) return '';
  if (seconds < 90) return 'just now';
  if (seconds < 5400) return `${Math.round(seconds / 60)} minutes ago`;
  if (seconds < 129_600) return `${Math.round(seconds / 3600)} hours ago`;
  return `${Math.round(seconds / 86_400)} days ago`;
}
