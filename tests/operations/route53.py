"""Hosted zones, which have no regions: scenarios tell theirs by their names."""


def zones(aws):
    route53, names = aws.route53, [f"{aws.unique()}.example" for _ in range(3)]
    made = [route53.create_hosted_zone(Name=name, CallerReference=name, HostedZoneConfig={"Comment": "a"}) for name in names]
    ids = [one["HostedZone"]["Id"] for one in made]
    route53.get_change(Id=made[0]["ChangeInfo"]["Id"])
    assert route53.get_hosted_zone(Id=ids[0])["HostedZone"]["Name"] == f"{names[0]}."
    route53.update_hosted_zone_comment(Id=ids[0], Comment="b")
    assert route53.get_hosted_zone_count()["HostedZoneCount"] >= 3
    assert route53.get_account_limit(Type="MAX_HOSTED_ZONES_BY_OWNER")["Count"] >= 3
    assert route53.get_hosted_zone_limit(HostedZoneId=ids[0], Type="MAX_RRSETS_BY_ZONE")["Count"] == 2
    assert route53.get_dnssec(HostedZoneId=ids[0])["KeySigningKeys"] == []
    assert len(aws.pages("route53", "list_hosted_zones", mine=lambda zone: zone["Id"] in ids)) == 3
    by_name = route53.list_hosted_zones_by_name(DNSName=names[0], MaxItems="1")
    assert by_name["HostedZones"][0]["Id"] == ids[0]
    for zone in ids:
        route53.delete_hosted_zone(Id=zone)


def records(aws):
    route53, name = aws.route53, f"{aws.unique()}.example"
    zone = route53.create_hosted_zone(Name=name, CallerReference=name)["HostedZone"]["Id"]

    def change(action, host, kind, *values):
        records = [{"Value": value} for value in values]
        route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Comment": "c", "Changes": [{
            "Action": action, "ResourceRecordSet": {"Name": f"{host}.{name}", "Type": kind, "TTL": 60, "ResourceRecords": records}}]})

    change("CREATE", "a", "A", "192.0.2.1", "192.0.2.2")
    change("UPSERT", "a", "TXT", '"x"')
    listed = aws.pages("route53", "list_resource_record_sets", HostedZoneId=zone, invent=False)
    assert [record["Type"] for record in listed] == ["NS", "SOA", "A", "TXT"]
    answer = route53.test_dns_answer(HostedZoneId=zone.removeprefix("/hostedzone/"), RecordName=f"a.{name}", RecordType="A")
    assert answer["RecordData"] == ["192.0.2.1", "192.0.2.2"]
    change("DELETE", "a", "A", "192.0.2.2", "192.0.2.1")
    change("DELETE", "a", "TXT", '"x"')
    route53.delete_hosted_zone(Id=zone)


def tags(aws):
    route53, name = aws.route53, f"{aws.unique()}.example"
    zone = route53.create_hosted_zone(Name=name, CallerReference=name)["HostedZone"]["Id"].removeprefix("/hostedzone/")
    route53.change_tags_for_resource(ResourceType="hostedzone", ResourceId=zone, AddTags=[{"Key": "a", "Value": "1"}])
    one = route53.list_tags_for_resource(ResourceType="hostedzone", ResourceId=zone)["ResourceTagSet"]
    assert one["Tags"] == [{"Key": "a", "Value": "1"}]
    assert route53.list_tags_for_resources(ResourceType="hostedzone", ResourceIds=[zone])["ResourceTagSets"] == [one]
    route53.delete_hosted_zone(Id=zone)
