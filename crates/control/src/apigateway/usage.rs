//! What API keys have used of their plans: asked of the data plane's counters and of the book that they are written into.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use aws::Error;
use aws::apigateway as wire;
use journal::usage::{DAYS, UsageBook, UsageLine};
use model::usage::{Spent, day};
use model::{Quota, Snapshot};
use time::Date;
use time::macros::format_description;

use super::patch::Patch;
use super::{Draft, usage_plan};
use crate::apigatewayv2::page;
use crate::usage::line;

/// As AWS shows what nothing limits.
const UNLIMITED: i64 = i64::MAX;
const JULIAN_DAY_OF_1970: i64 = 2_440_588;
const PATHS: &str = "/remaining";

/// A line for each day: requests, and what was left of the quota.
pub(super) fn get(
    draft: &Draft<'_>,
    input: &wire::GetUsageRequest,
    book: &UsageBook,
    snapshot: &Snapshot,
) -> Result<wire::Usage, Error> {
    let plan = usage_plan::find(draft, &input.usage_plan_id)?;
    let days = days(&input.start_date, &input.end_date)?;
    let mut written = match &input.key_id {
        Some(key) => {
            usage_plan::find_key(draft, &plan.id, key)?;
            book.days(&plan.id, key, 0..=*days.end()).map(|lines| BTreeMap::from([(key.clone(), lines)]))
        }
        None => book.of_plan(&plan.id, 0..=*days.end()),
    }
    .map_err(|error| Error::internal(error.to_string()))?;
    // What is not written yet.
    for meter in snapshot.meters().filter(|meter| meter.plan_id == plan.id) {
        if input.key_id.as_ref().is_none_or(|key| *key == meter.key_id) {
            merge(written.entry(meter.key_id.clone()).or_default(), line(meter), *days.end());
        }
    }
    let used = written.into_iter().filter(|(_, lines)| lines.iter().any(|line| days.contains(&line.day)));
    let show = |(key, lines): &(String, Vec<UsageLine>)| {
        (key.clone(), days.clone().map(|day| on(lines, day, plan.quota)).collect())
    };
    let limit = input.limit.map(|limit| limit.to_string());
    let (items, position) =
        page::page(used, |(key, _)| key.clone(), show, limit.as_deref(), input.position.as_deref())?;
    Ok(wire::Usage {
        usage_plan_id: Some(plan.id.clone()),
        start_date: Some(input.start_date.clone()),
        end_date: Some(input.end_date.clone()),
        items: items.map(|items| items.into_iter().collect()),
        position,
    })
}

/// Grants a key more, or less, of its quota until the period ends.
pub(super) fn update(
    draft: &Draft<'_>,
    input: &wire::UpdateUsageRequest,
    snapshot: &Snapshot,
) -> Result<wire::Usage, Error> {
    let of_plan = usage_plan::find_key(draft, &input.usage_plan_id, &input.key_id)?;
    let plan = usage_plan::find(draft, &input.usage_plan_id)?;
    let mut remaining = None;
    for patch in Patch::read(input.patch_operations.as_deref())? {
        let path: Vec<&str> = patch.segments.iter().map(String::as_str).collect();
        match (patch.op, &path[..]) {
            (wire::Op::Replace, ["remaining"]) => {
                let number = patch.parse(|text| text.parse::<i32>().ok().and_then(|left| u32::try_from(left).ok()));
                remaining = Some(number?);
            }
            _ => return Err(patch.unknown(PATHS)),
        }
    }
    let meter = snapshot.meter(&of_plan.plan_id, &of_plan.key_id);
    let meter = meter.ok_or_else(|| Error::conflict("The API Key is not enforced yet. Please try again later."))?;
    if let Some(remaining) = remaining
        && !meter.grant(remaining, draft.at)
    {
        return Err(Error::bad_request(format!("Usage Plan {} has no quota", plan.id)));
    }
    let today = day(draft.at);
    let date = date_of(today);
    Ok(wire::Usage {
        usage_plan_id: Some(plan.id.clone()),
        start_date: Some(date.clone()),
        end_date: Some(date),
        items: Some(BTreeMap::from([(of_plan.key_id.clone(), vec![on(line(meter).as_slice(), today, plan.quota)])])),
        position: None,
    })
}

/// A newer line, in place of that of the same day.
fn merge(lines: &mut Vec<UsageLine>, newer: Option<UsageLine>, last: u32) {
    if let Some(line) = newer.filter(|line| line.day <= last) {
        lines.retain(|other| other.day < line.day);
        lines.push(line);
    }
}

/// Requests on a day, and what was left after it.
fn on(lines: &[UsageLine], day: u32, quota: Option<Quota>) -> Vec<i64> {
    let Some(line) = lines.iter().rev().find(|line| line.day <= day) else {
        return vec![0, quota.map_or(UNLIMITED, |quota| quota.limit.into())];
    };
    match line.day == day {
        true => vec![line.used.into(), i64::try_from(line.remaining).unwrap_or(UNLIMITED)],
        // Nothing was used since; a new period may have begun.
        false => vec![0, quota.map_or(UNLIMITED, |quota| quota.remaining(Spent::from(line.spent), day).into())],
    }
}

/// From `startDate` to `endDate`, `YYYY-MM-DD` both.
fn days(start: &str, end: &str) -> Result<RangeInclusive<u32>, Error> {
    let (start, end) = (day_of("startDate", start)?, day_of("endDate", end)?);
    if start > end {
        return Err(Error::bad_request("Usage start date must be less than or equal to the end date"));
    }
    match end - start >= DAYS {
        true => Err(Error::bad_request(format!("Usage can be asked for {DAYS} days at most"))),
        false => Ok(start..=end),
    }
}

fn day_of(name: &str, text: &str) -> Result<u32, Error> {
    let date = Date::parse(text, format_description!("[year]-[month]-[day]")).ok();
    let day = date.and_then(|date| u32::try_from(i64::from(date.to_julian_day()) - JULIAN_DAY_OF_1970).ok());
    day.ok_or_else(|| Error::bad_request(format!("Invalid {name} {text}: YYYY-MM-DD is expected")))
}

fn date_of(day: u32) -> String {
    let date = i32::try_from(i64::from(day) + JULIAN_DAY_OF_1970).ok().and_then(|day| Date::from_julian_day(day).ok());
    date.map(|date| date.to_string()).unwrap_or_default()
}
