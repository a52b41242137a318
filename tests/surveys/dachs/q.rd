<resource schema="galcnn" resdir=".">
  <meta name="creationDate">2026-11-24T00:00:00Z</meta>
  <meta name="title">galcnn invented coadds</meta>
  <meta name="description">Invented coadds for end-to-end tests on this machine.</meta>
  <meta name="subject">galaxies</meta>
  <meta name="creator">galcnn developers</meta>
  <meta name="type">Survey</meta>
  <meta name="contentLevel">Research</meta>
  <table id="main" onDisk="True" mixin="//siap#pgs" adql="True">
    <mixin calibLevel="3" collectionName="'GALCNN'" targetName="object" expTime="NULL" targetClass="'G'"
      did="pub_did">//obscore#publishSIAP</mixin>
    <column name="object" type="text" ucd="meta.id;src" description="Target"/>
    <column name="pub_did" type="text" ucd="meta.ref.ivoid" description="publisher DID"/>
    <meta name="_associatedDatalinkService">
      <meta name="serviceId">dl</meta>
      <meta name="idColumn">pub_did</meta>
    </meta>
  </table>
  <data id="import">
    <sources pattern="data/*.fits"/>
    <fitsProdGrammar>
      <rowfilter procDef="//products#define"><bind key="table">"\schema.main"</bind></rowfilter>
    </fitsProdGrammar>
    <make table="main">
      <rowmaker>
        <apply procDef="//siap#setMeta">
          <bind key="dateObs">parseTimestamp(@DATE_OBS, "%Y-%m-%d")</bind>
          <bind key="bandpassId">@FILTER</bind>
          <bind key="bandpassLo">float(@WMIN)</bind>
          <bind key="bandpassHi">float(@WMAX)</bind>
          <bind key="bandpassUnit">"m"</bind>
          <bind key="pixflags">"C"</bind>
          <bind key="title">"coadd {}".format(@FILTER)</bind>
        </apply>
        <apply procDef="//siap#computePGS"/>
        <map key="object">@OBJECT</map>
        <map key="pub_did">\standardPubDID</map>
      </rowmaker>
    </make>
  </data>
  <service id="i" allowed="siap.xml">
    <meta name="shortName">galcnn coadds</meta>
    <meta name="sia.type">Pointed</meta>
    <meta name="testQuery.pos.ra">150.1</meta><meta name="testQuery.pos.dec">2.2</meta>
    <meta name="testQuery.size.ra">0.1</meta><meta name="testQuery.size.dec">0.1</meta>
    <dbCore queriedTable="main"><condDesc original="//siap#protoInput"/></dbCore>
  </service>
  <service id="dl" allowed="dlget,dlmeta">
    <meta name="title">cutouts of invented coadds</meta>
    <datalinkCore>
      <descriptorGenerator procDef="//soda#fits_genDesc">
        <bind key="accrefPrefix">"galcnn/data"</bind>
      </descriptorGenerator>
      <FEED source="//soda#fits_standardDLFuncs"/>
    </datalinkCore>
  </service>
</resource>
