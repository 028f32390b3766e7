/** Something that a test waits for, or lets happen when it wants. Node has no `Promise.withResolvers` before 22. */
export interface Gate<T = void> {
  readonly opened: Promise<T>;
  open(this: void, value: T): void;
}

export function gate<T = void>(): Gate<T> {
  let open: Gate<T>['open'] = () => undefined;
  const opened = new Promise<T>((resolve) => (open = resolve));
  return { opened, open };
}
