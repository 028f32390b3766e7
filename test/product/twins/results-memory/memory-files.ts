/** A folder of text files, and of things that are not files. */

export interface MemoryFile {
  readonly text: string;
  /** Changes with the content; unchanged when the file is renamed. */
  readonly stamp: number;
}

export interface MemoryFiles {
  read(path: string): MemoryFile | null;
  /** Does nothing if something that is not a file has this name. */
  write(path: string, text: string): void;
  /** Puts something that is not a file under a name, such as a link, a FIFO or a folder: `read` finds nothing there. */
  writeOdd(path: string): void;
  isOdd(path: string): boolean;
  /** Replaces `to`; false if `from` does not exist. */
  move(from: string, to: string): boolean;
  remove(path: string): void;
  /** The paths in a folder and below it, in order, including those of things that are not files; all paths for ''. */
  under(folder: string): readonly string[];
  /** Calls back after each change; the returned function unsubscribes. */
  onChange(changed: () => void): () => void;
}

export function memoryFiles(): MemoryFiles {
  const files = new Map<string, MemoryFile>();
  const odd = new Set<string>();
  const listeners = new Set<() => void>();
  let stamps = 0;

  const changed = (): void => {
    for (const listener of listeners) listener();
  };

  return {
    read: (path) => files.get(path) ?? null,
    write(path, text) {
      if (odd.has(path)) return;
      stamps += 1;
      files.set(path, { text, stamp: stamps });
      changed();
    },
    writeOdd(path) {
      files.delete(path);
      odd.add(path);
      changed();
    },
    isOdd: (path) => odd.has(path),
    move(from, to) {
      const file = files.get(from);
      if (file === undefined) return false;
      files.delete(from);
      odd.delete(to);
      files.set(to, file);
      changed();
      return true;
    },
    remove(path) {
      const wasThere = [files.delete(path), odd.delete(path)].includes(true);
      if (wasThere) changed();
    },
    under: (folder) => [...files.keys(), ...odd].filter((path) => folder === '' || path.startsWith(`${folder}/`)).sort(),
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** Moves a flat file of the task to `refused/`, with the reason next to it. */
export function refuseFlatFile(files: MemoryFiles, taskId: string, file: string, reason: string): void {
  const from = `results/${taskId}.${file}`;
  const found = files.read(from);
  if (found === null) return;
  const kept = `refused/${taskId}.flat-${found.stamp}`;
  files.move(from, `${kept}.${file}`);
  files.write(`${kept}.reason.txt`, `${reason}\n`);
}
