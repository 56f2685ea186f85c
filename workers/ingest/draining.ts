let draining = false;

/** Whether this platform is stopping: ingest answers 503 then. */
export function isDraining(): boolean {
  return draining;
}

/** Opens or closes the door for new events, in this isolate. Only a local platform has one isolate, so only there it means the whole. */
export function setDraining(value: boolean): void {
  draining = value;
}
