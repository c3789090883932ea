//! What API keys have used of their plans, between the data plane's counters and the book that it is written into.

use journal::usage::{UsageBook, UsageError, UsageLine};
use model::usage::DayOfUse;
use model::{Meter, Snapshot};

/// What is to be written down of a meter: the last day on which it was used, if there is one.
pub fn line(meter: &Meter) -> Option<UsageLine> {
    let reading = meter.reading();
    let DayOfUse { day, used } = reading.today;
    let line = UsageLine {
        plan_id: meter.plan_id.clone(),
        key_id: meter.key_id.clone(),
        day,
        used,
        spent: reading.spent.word(),
        remaining: meter.quota.map_or(u64::MAX, |quota| quota.remaining(reading.spent, day).into()),
    };
    (day > 0).then_some(line)
}

/// Writes down what has changed since the last time. Blocks.
pub fn write(book: &UsageBook, snapshot: &Snapshot) -> Result<(), UsageError> {
    let mut taken = Vec::new();
    let written = book.write(|| {
        taken.extend(snapshot.meters().filter(|meter| meter.take_changed()));
        taken.iter().filter_map(|meter| line(meter)).collect()
    });
    written.inspect_err(|_| taken.iter().for_each(|meter| meter.retry()))
}

/// Has meters that are not in `before`, and have not counted yet, go on from the book. Blocks.
pub fn restore(book: &UsageBook, snapshot: &Snapshot, before: &Snapshot) -> Result<(), UsageError> {
    for meter in snapshot.meters().filter(|meter| before.meter(&meter.plan_id, &meter.key_id).is_none()) {
        if let Some(UsageLine { day, used, spent, .. }) = book.last(&meter.plan_id, &meter.key_id)? {
            meter.restore(DayOfUse { day, used }, spent.into());
        }
    }
    Ok(())
}
