/** Hands a document to the person in front of the screen, as a file. */

/** The browser reads it after the click, by itself; past this it surely has. */
const READ_MS = 60_000;

export function saveFile(name: string, document: object): void {
  const text = `${JSON.stringify(document, null, 2)}\n`;
  const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  const link = window.document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), READ_MS);
}
