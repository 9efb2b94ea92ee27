"""What to ask, to begin with: a prompt in each of several languages, as (instruction, input)."""

# language code → an instruction in that language, and its input
PROMPTS = {
    "en": ("Explain in two sentences why the sky is blue.", ""),
    "zh": ("请用两句话介绍一下长城。", ""),
    "ar": ("اشرح في جملتين لماذا السماء زرقاء.", ""),
    "de": ("Übersetze den Satz ins Englische.", "Morgen fahren wir mit dem Zug ans Meer."),
    "el": ("Γράψε μια σύντομη πρόσκληση για γενέθλια.", ""),
    "es": ("Resume el texto en una frase.", "Los volcanes se forman donde el magma sube a la superficie."),
    "hi": ("पानी बचाने के तीन उपाय बताइए।", ""),
    "ru": ("Придумай три названия для кофейни.", ""),
    "th": ("บอกวิธีหุงข้าวสั้น ๆ", ""),
    "tr": ("Sağlıklı uyku için üç öneri yaz.", ""),
    "vi": ("Viết một câu chào khách bằng giọng thân thiện.", ""),
}
