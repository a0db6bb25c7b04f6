/** Draws the lines between a decky and its interfaces on other LANs, over the zones. */

import { useLayoutEffect, useRef, useState } from "react";

interface Wire {
  key: string;
  path: string;
  hot: boolean;
}

/** `revision` changes whenever something may have moved. */
export function Wires({ revision }: { revision: unknown }) {
  const svg = useRef<SVGSVGElement>(null);
  const [wires, setWires] = useState<Wire[]>([]);
  useLayoutEffect(() => {
    const canvas = svg.current?.parentElement;
    if (!canvas) return;
    const measure = () => setWires((before) => {
      const after = wiresOf(canvas);
      return JSON.stringify(before) === JSON.stringify(after) ? before : after;
    });
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(canvas);
    for (const zone of canvas.querySelectorAll(".zone")) observer.observe(zone);
    return () => observer.disconnect();
  }, [revision]);
  return (
    <svg ref={svg} className="wires" aria-hidden="true">
      {wires.map((wire) => <path key={wire.key} d={wire.path} className={wire.hot ? "hot" : undefined} />)}
    </svg>
  );
}

function wiresOf(canvas: Element): Wire[] {
  const origin = canvas.getBoundingClientRect();
  const wires: Wire[] = [];
  for (const end of canvas.querySelectorAll<HTMLElement>("[data-wire-to]")) {
    const id = end.dataset["wireTo"] ?? "";
    const start = canvas.querySelector<HTMLElement>(`[data-wire-from="${CSS.escape(id)}"]`);
    if (!start) continue;
    const path = curve(start.getBoundingClientRect(), end.getBoundingClientRect(), origin);
    wires.push({ key: `${id}-${end.dataset["wireLan"]}`, path, hot: "hot" in start.dataset });
  }
  return wires;
}

/** From side to side where the two stand beside each other, else around the right. */
function curve(from: DOMRect, to: DOMRect, origin: DOMRect): string {
  const y1 = from.top + from.height / 2 - origin.top;
  const y2 = to.top + to.height / 2 - origin.top;
  if (to.left >= from.right) return bend(from.right - origin.left, y1, to.left - origin.left, y2, 0.5);
  if (to.right <= from.left) return bend(from.left - origin.left, y1, to.right - origin.left, y2, 0.5);
  const x1 = from.right - origin.left;
  const x2 = to.right - origin.left;
  const out = Math.max(x1, x2) + 26;
  return `M${r(x1)} ${r(y1)}C${r(out)} ${r(y1)} ${r(out)} ${r(y2)} ${r(x2)} ${r(y2)}`;
}

function bend(x1: number, y1: number, x2: number, y2: number, at: number): string {
  const middle = x1 + (x2 - x1) * at;
  return `M${r(x1)} ${r(y1)}C${r(middle)} ${r(y1)} ${r(middle)} ${r(y2)} ${r(x2)} ${r(y2)}`;
}

const r = (value: number) => Math.round(value * 2) / 2;
