// Files a person picks or drops, folders too, sent to the lab one after the other (a few at a time).

import { post } from '../../api/client';

export interface Picked {
  /** With the folders it stood in: `essays/2020/rain.md`. */
  readonly path: string;
  readonly file: File;
}

const AT_ONCE = 4;

/** Return what was picked by an input, hidden files left out. */
export function picked(files: FileList | null): Picked[] {
  return [...(files ?? [])].map((file) => ({ path: file.webkitRelativePath || file.name, file })).filter(isShown);
}

/** Return what was dropped, folders opened, hidden files left out. */
export async function dropped(transfer: DataTransfer | null): Promise<Picked[]> {
  const entries = [...(transfer?.items ?? [])].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  if (!entries.length) return picked(transfer?.files ?? null);
  return (await Promise.all(entries.map(inside))).flat().filter(isShown);
}

const isShown = ({ path }: Picked): boolean => path.split('/').every((part) => !part.startsWith('.') && part !== '__MACOSX');

async function inside(entry: FileSystemEntry): Promise<Picked[]> {
  const path = entry.fullPath.replace(/^\//, '');
  if (entry.isFile) {
    const file = await new Promise<File>((done, wrong) => (entry as FileSystemFileEntry).file(done, wrong));
    return [{ path, file }];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const found: Picked[] = [];
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((done, wrong) => reader.readEntries(done, wrong));
    if (!some.length) return found;
    found.push(...(await Promise.all(some.map(inside))).flat());
  }
}

/** Send files to the lab; return the key it knows them by. */
export async function send(files: readonly Picked[], told: (done: number) => void): Promise<string> {
  const key = [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  const left = [...files];
  let done = 0;
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (let one = left.shift(); one; one = left.shift()) {
        await post(`/uploads/voice/${key}`, one.file, { path: one.path });
        told((done += 1));
      }
    }),
  );
  return key;
}
