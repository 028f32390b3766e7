/** A list of any length: only the rows on the screen are in the page. It scrolls with the page itself. */
import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';

/** Rows beyond the edges of the screen that are drawn as well. */
const BEYOND = 8;

export function VirtualList({ count, rowPx, label, render, onSeen, onLeft }: VirtualListProps): JSX.Element {
  const list = useRef<HTMLDivElement>(null);
  const [range, setRange] = useState({ first: 0, last: 40 });
  const latest = useRef({ count, onSeen });
  latest.current = { count, onSeen };

  useEffect(() => {
    const measure = (): void => {
      const top = list.current?.getBoundingClientRect().top ?? 0;
      const first = Math.max(0, Math.floor(-top / rowPx) - BEYOND);
      const last = Math.max(first, Math.ceil((innerHeight - top) / rowPx) + BEYOND);
      setRange((before) => (before.first === first && before.last === last ? before : { first, last }));
      latest.current.onSeen(first, last);
    };
    measure();
    addEventListener('scroll', measure, { passive: true });
    addEventListener('resize', measure);
    return () => {
      removeEventListener('scroll', measure);
      removeEventListener('resize', measure);
    };
  }, [rowPx, count]);

  const end = Math.min(range.last, count);
  const rows: JSX.Element[] = [];
  for (let index = range.first; index < end; index += 1) {
    rows.push(
      <div
        key={index}
        class="virtual-row"
        role="listitem"
        aria-setsize={count}
        aria-posinset={index + 1}
        style={{ top: `${index * rowPx}px`, height: `${rowPx}px` }}
      >
        {render(index)}
      </div>,
    );
  }
  return (
    <div
      ref={list}
      class="virtual-list"
      role="list"
      aria-label={label}
      style={{ height: `${count * rowPx}px` }}
      onPointerLeave={onLeft}
      onFocusOut={onLeft}
    >
      {rows}
    </div>
  );
}

interface VirtualListProps {
  readonly count: number;
  /** The height of each row. */
  readonly rowPx: number;
  readonly label: string;
  readonly render: (index: number) => JSX.Element;
  readonly onSeen: (first: number, last: number) => void;
  /** The pointer or the focus has left a row. */
  readonly onLeft: () => void;
}
