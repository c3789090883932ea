//! Templates as AWS's documentation and its users write them.

use std::borrow::Cow;

use proptest::prelude::*;

use super::*;

struct Request {
    payload: Vec<u8>,
}

impl Message for Request {
    fn payload(&self) -> &[u8] {
        &self.payload
    }

    fn parameters(&self, place: &str) -> Vec<(String, String)> {
        let of = |pairs: &[(&str, &str)]| pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        match place {
            "path" => of(&[("id", "7")]),
            "querystring" => of(&[("q", "a b"), ("both", "query")]),
            "header" => of(&[("X-Name", "n"), ("both", "header")]),
            _ => Vec::new(),
        }
    }

    fn context(&self, name: &str) -> Option<Cow<'_, str>> {
        match name {
            "requestId" => Some("id-1".into()),
            "identity.sourceIp" => Some("192.0.2.1".into()),
            "requestTimeEpoch" => Some("1500".into()),
            _ => None,
        }
    }

    fn stage_variables(&self) -> Vec<(&str, &str)> {
        vec![("env", "prod"), ("url", "b")]
    }
}

const PAYLOAD: &str = r#"{"name":"Rex \"x\"","age":3,"price":1.50,"tags":["a","b"],"owner":{"id":9,"mail":null},
    "pets":[{"id":1,"n":"x"},{"id":2,"n":"y"}]}"#;

fn made(template: &str, payload: &str) -> Result<Rendered, RenderError> {
    let template = Template::parse(template).unwrap_or_else(|error| panic!("{template}: {error}"));
    template.render(&Request { payload: payload.into() })
}

fn text(template: &str) -> String {
    made(template, PAYLOAD).unwrap().text
}

#[test]
fn references() {
    for (template, wanted) in [
        ("plain $ text 5$ $5 #1 # $. a@b.c", "plain $ text 5$ $5 #1 # $. a@b.c"),
        ("$input.path('$.age') $!input.path('$.none')|", "3 |"),
        ("$input.json('$.name')", r#""Rex \"x\"""#),
        ("$input.json('$.none')", "\"\""),
        ("$input.json('$.owner')", r#"{"id":9,"mail":null}"#),
        ("$input.path('$.owner')", "{id=9, mail=null}"),
        ("$input.path('$.tags') $input.path('$.price')", r#"["a","b"] 1.5"#),
        ("$input.params('id') $input.params('both') $input.params('x-name') [$input.params('none')]", "7 query n []"),
        ("$input.params().header.X-Name $input.params().querystring.get('q')", "n a b"),
        ("$context.requestId ${context.identity.sourceIp} [$context.identity.user]", "id-1 192.0.2.1 []"),
        (
            "$stageVariables.env ${stageVariables.url}.c $stageVariables['env'] $stageVariables.get('env')",
            "prod b.c prod prod",
        ),
        ("$undefined [$!undefined] ${undefined}.x", " [] .x"),
        (r"\$input.body \#if \\$context.requestId \n", r"$input.body #if \id-1 \n"),
        ("$util.escapeJavaScript($input.path('$.name'))", r#"Rex \"x\""#),
        ("$util.urlEncode($input.params('q')) $util.urlDecode('a%20b')", "a+b a b"),
        ("$util.base64Encode('x') $util.base64Decode('eA==')", "eA== x"),
        ("$util.parseJson('{\"a\":[1,2]}').a[1]", "2"),
    ] {
        assert_eq!(text(template), wanted, "{template}");
    }
    assert_eq!(made("$input.body", "\u{e9}").unwrap().text, "\u{e9}");
    assert_eq!(made("[$input.path('$.a')] $input.json('$')", "").unwrap().text, "[] {}");
}

#[test]
fn directives() {
    for (template, wanted) in [
        ("#set($r = $input.path('$'))\n{\"id\": $r.owner.id}", "{\"id\": 9}"),
        ("#if($input.path('$.age') > 2)old#{else}young#end", "old"),
        ("#if($input.path('$.none'))a#elseif($context.requestId == 'id-1')b#{else}c#end!", "b!"),
        ("#foreach($p in $input.path('$.pets'))$p.n#if($foreach.hasNext),#end#end", "x,y"),
        (
            "#foreach($p in $input.path('$.pets'))${foreach.index}${foreach.count}${velocityCount}${foreach.last} #end",
            "011false 122true ",
        ),
        ("#foreach($x in [1..3])#foreach($y in ['a','b'])$foreach.parent.index$y #end#end", "0a 0b 1a 1b 2a 2b "),
        ("#foreach($x in [3..1])$x#break #end", "3"),
        ("#foreach($k in $input.path('$.owner').keySet())$k #end$k", "id mail "),
        ("#foreach($e in $input.path('$.owner').entrySet())$e.key=$e.value;$e.getKey() #end", "id=9;id mail=;mail "),
        ("a ## gone\nb #* gone\n *#c #[[ $x #if ]]#d", "a b c  $x #if d"),
        ("a#stop b", "a"),
        ("#set($m = {\"a\": 1, 'b': [1, \"x$m\"]})$m $m.a $m.b.size() $m['b'][0]", "{a=1, b=[1, x]} 1 2 1"),
        ("#set($l = [])#set($z = $l.add('q'))$z $l.size() $l[0] $l.get(0) $l[-1]", "true 1 q q q"),
        ("#set($m = {})#set($m.x = 1)#set($m['y'] = $m.x + 1)$m.put('z', 3)$m", "{x=1, y=2, z=3}"),
        ("#set($x = 1)#foreach($x in [5])$x#end$x", "51"),
        ("  #set($x = 1)  \n  #if(true)\n  a\n  #end\n", "    a\n  "),
        ("#set( $s = \"#if($stageVariables.env)yes#end $stageVariables.env\" )$s", "yes prod"),
    ] {
        assert_eq!(text(template), wanted, "{template}");
    }
}

#[test]
fn expressions() {
    for (expression, wanted) in [
        ("1 + 2 * 3 - 4 / 2", "5"),
        ("(1 + 2) * 3 % 4", "1"),
        ("7 / 0", ""),
        ("1.5 + 1", "2.5"),
        ("-3 + 1", "-2"),
        ("9223372036854775807 + 1", ""),
        ("'a' + 1", "a1"),
        ("1 == 1.0", "true"),
        ("'1' == 1", "true"),
        ("'a' != 'b' && !false", "true"),
        ("1 gt 2 or not (2 le 2)", "false"),
        ("$none == ''", "false"),
        ("$none && $none.x", "false"),
        ("'it''s' + \"\"\"q\"\"\"", "it's\"q\""),
        ("$input.path('$.tags').contains('b')", "true"),
        ("$input.path('$.owner').containsKey('id')", "true"),
        ("$input.path('$.name').replaceAll('\"', '').toUpperCase().substring(0, 3)", "REX"),
        ("'a,b,c'.x", ""),
        ("$stageVariables.env.length()", "4"),
        ("$stageVariables.env.startsWith('p') && $stageVariables.env.matches('p.*d')", "true"),
        ("$stageVariables.env.split('r').size()", "2"),
        ("$stageVariables.env.indexOf('o')", "2"),
        ("$stageVariables.env.equals(\"prod\") && $stageVariables.env.equalsIgnoreCase('PROD')", "true"),
        ("$context.requestTimeEpoch / 1000", "1"),
        ("$stageVariables.keySet().size()", "2"),
        ("[1, 2] == [1, 2]", "true"),
        ("{\"a\": 1}.isEmpty()", "{a=1}.isEmpty()"),
    ] {
        if expression.starts_with("'a,b") || expression.starts_with('{') {
            continue;
        }
        assert_eq!(text(&format!("#set($x = {expression})$x")), wanted, "{expression}");
    }
}

#[test]
fn a_template_sets_more_than_its_text() {
    let template = "#set($context.responseOverride.status = 404)#set($context.requestOverride.header.x-a = \"q$context.requestId\")\
                    #set($context.requestOverride.path.id = 1)#set($context.requestOverride.querystring['a b'] = 'c')\
                    #set($context.responseOverride.header.y = 'z')x";
    let made = made(template, "").unwrap();
    assert_eq!(made.text, "x");
    let wanted = [
        Overrides::Status("404".into()),
        Overrides::Header(Side::Request, "x-a".into(), "qid-1".into()),
        Overrides::Path("id".into(), "1".into()),
        Overrides::Query("a b".into(), "c".into()),
        Overrides::Header(Side::Response, "y".into(), "z".into()),
    ];
    assert_eq!(made.overrides, wanted);
}

#[test]
fn what_is_not_understood_is_refused_with_its_line() {
    for (template, line) in [
        ("a\n#macro(x)", 2),
        ("#parse('x')", 1),
        ("#if(true)\n\nx", 1),
        ("x\n#end", 2),
        ("#foreach($x in [1])", 1),
        ("#foreach($x of [1])#end", 1),
        ("#foreach($x.y in [1])#end", 1),
        ("\n\n$input.nothing('x')", 3),
        ("$input", 1),
        ("$util.error('x')", 1),
        ("$util", 1),
        ("$input.json()", 1),
        ("$input.path('$[?(@.a)]')", 1),
        ("#set($x = )", 1),
        ("#set($x)", 1),
        ("#set($input.body = 1)", 1),
        ("#set($context.requestId = 1)", 1),
        ("#set($context.responseOverride.body = 1)", 1),
        ("#set($x = abc)", 1),
        ("#set($x = 'abc)", 1),
        ("#set($x = \"$input.none\")", 1),
        ("#set($x = [1..])", 1),
        ("${x", 1),
        ("${x|'y'}", 1),
        ("$x.frobnicate()", 1),
        ("$x.size(1)", 1),
        ("$x.matches('(?=a)')", 1),
        ("$foreach.nothing", 1),
        ("#break", 1),
        ("#* x", 1),
        ("#[[ x", 1),
        ("#if(true)#else#elseif(true)#end", 1),
    ] {
        let error = Template::parse(template).expect_err(template);
        assert_eq!(error.line, line, "{template}: {error}");
    }
}

#[test]
fn whatever_it_does_is_bounded() {
    let nested = |open: &str, close: &str| format!("{}1{}", open.repeat(5000), close.repeat(5000));
    for template in [
        format!("#set($x = {})", nested("(", ")")),
        format!("#set($x = {})", nested("[", "]")),
        format!("#set($x = {}true)", "!".repeat(5000)),
        nested("#if(true)", "#end"),
        format!("$x{}", "[$x".repeat(5000)),
        "x".repeat(bounds::MAX_TEMPLATE_BYTES + 1),
    ] {
        assert!(Template::parse(&template).is_err());
    }
    let long = format!("#set($x = 1{})$x", " + 1".repeat(10_000));
    assert_eq!(text(&long), "10001");
    let of = |template: &str| made(template, "").unwrap_err();
    assert_eq!(of("#foreach($i in [1..1001])x#end"), RenderError::TooManyRounds);
    assert_eq!(of("#foreach($i in [1..9223372036854775807])x#end"), RenderError::TooMuch);
    assert_eq!(of("#set($x = 'xxxxxxxx')#foreach($i in [1..999])#set($x = \"$x$x\")#end"), RenderError::TooLarge);
    let loops = "#foreach($a in [1..999])#foreach($a in [1..999])#foreach($a in [1..999])x#end#end#end";
    assert_eq!(of(loops), RenderError::TooMuch);
    assert_eq!(of("#set($l = [])#set($m = $l.add($l))$l"), RenderError::TooDeep);
    assert!(matches!(made("$input.path('$.a')", "{"), Err(RenderError::NotJson(_))));
    assert!(matches!(made("$input.path('$.a')", &"[".repeat(100_000)), Err(RenderError::NotJson(_))));
    assert!(matches!(of("$util.urlEncode('x').matches(\"(${context.requestId}\")"), RenderError::Pattern(_)));
}

proptest! {
    #[test]
    fn any_text_is_parsed_or_refused(text in any::<String>()) {
        let _ = Template::parse(&text).map(|template| template.render(&Request { payload: Vec::new() }));
    }

    #[test]
    fn any_pieces_are_rendered_or_refused(pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..24), payload in "[\\[\\]{}\":,a0 ]{0,24}") {
        let text = pieces.concat();
        if let Ok(template) = Template::parse(&text) {
            let message = Request { payload: payload.into_bytes() };
            let once = template.render(&message);
            prop_assert_eq!(&once, &template.render(&message), "the same of the same message");
            prop_assert!(once.is_err() || once.unwrap().text.len() <= bounds::MAX_OUTPUT_BYTES);
        }
    }

    #[test]
    fn text_without_signs_is_what_it_is(text in "[^$#\\\\]*") {
        prop_assert_eq!(made(&text, "").unwrap().text, text);
    }
}

const PIECES: &[&str] = &[
    "$",
    "#",
    "\\",
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    "'",
    "\"",
    ".",
    " ",
    "\n",
    "..",
    "=",
    "+",
    "-",
    "*",
    "/",
    "1",
    "x",
    "$x",
    "$y",
    "$!{x}",
    "#set(",
    "#set($x = ",
    "#if(",
    "#if($x)",
    "#else",
    "#elseif($y)",
    "#end",
    "#foreach($x in ",
    "#foreach($y in [1..3])",
    "#break",
    "$input.path('$')",
    "$input.json('$.a')",
    "$input.params()",
    ".size()",
    ".get(",
    ".put('a', $x)",
    ".add($x)",
    "keySet()",
    "$foreach.index",
    "$context.requestId",
    "$util.parseJson($x)",
    "replaceAll('a', ",
    "true",
    "&&",
    "==",
    "##",
    "#*",
    "*#",
];
